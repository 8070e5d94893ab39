"""What an engine is asked for, checked before any work: each says what is wrong and what would be right."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fastsvc.errors import ConfigError, EngineError

MOST_FORMANT = 12  # semitones; upstream trains its key shift up to 5


def rates(*rates_hz) -> None:
    """Raises ConfigError for what is no sample rate."""
    for rate in rates_hz:
        if isinstance(rate, bool) or int(rate) != rate or not 1000 <= rate <= 1_000_000:
            raise ConfigError(f"the sample rate is {rate!r}", "give a whole number of hertz")


def steps(engine, asked: int | None) -> int:
    """The number of sampling steps, by default the engine's own choice. Raises EngineError if it is not built in."""
    asked = engine.default_steps if asked is None else asked
    if asked not in engine.sampler.schedules:
        built = ", ".join(map(str, engine.steps))
        raise EngineError(f"{asked} steps are not built in, {built} are", "choose one, or rebuild with --steps")
    return asked


def formant(engine, semitones: float) -> None:
    """Raises ConfigError out of range, EngineError where the model cannot move its formants."""
    if not abs(semitones) <= MOST_FORMANT:
        raise ConfigError(f"formant is {semitones!r}", f"give semitones from −{MOST_FORMANT} to {MOST_FORMANT}")
    if semitones and not engine.config.condition.key_shift:
        raise EngineError(f"{engine.path} has no key-shift embedding, so formants stay", "leave formant at 0")


def features(units: Tensor, f0_hz: Tensor, volume: Tensor, voiced: Tensor, channels: int) -> None:
    """Raises ConfigError unless the shapes are units [Tu, channels] and [T] three times."""
    if f0_hz.dim() != 1 or volume.shape != f0_hz.shape or voiced.shape != f0_hz.shape or len(f0_hz) == 0:
        raise ConfigError("f0_hz, volume and voiced must be of one shape [T], T ≥ 1", "cut them to one length")
    if units.dim() != 2 or units.shape[1] != channels or len(units) == 0:
        raise ConfigError(f"units have shape {tuple(units.shape)}", f"[Tu, {channels}] is needed")


def mel(engine, given, frames: int) -> Tensor | None:
    """The mel to refine, if this engine refines; ConfigError where one is missing, in the way or of wrong shape."""
    if (given is None) != (engine.sampler.depth is None):
        refines = "refines given mels" if given is None else "makes mels from noise"
        raise ConfigError(f"{engine.path} {refines}", "give mel [T, M]" if given is None else "leave mel away")
    if given is None:
        return None
    given, bins = torch.as_tensor(given, dtype=torch.float32), engine.config.mel.bins
    if given.shape != (frames, bins):
        raise ConfigError(f"mel has shape {tuple(given.shape)}", f"[{frames}, {bins}] fits the other features")
    return given


def finite(*made: np.ndarray | None) -> None:
    """Raises EngineError for a result with NaN or infinities in it, which no file and no caller should get."""
    for values in made:
        if values is not None and values.size and not np.isfinite((values.min(), values.max())).all():  # NaN is either
            raise EngineError(
                "the result holds NaN or infinite numbers",
                "its weights are damaged, or too large for its precision: build the engine again with --precision fp32",
            )


def convertible(engine) -> None:
    """Raises EngineError, saying what to build, if a part is missing that recordings need."""
    if engine.config.amphion is not None:
        units = " and ".join(engine.config.amphion.encoders)
        raise EngineError(
            f"{engine.path} takes units of {units}, which are not computed here, so it cannot convert recordings",
            "make them with Amphion, and call Engine.synthesise",
        )
    parts = {"vocoder": engine.synthesiser, "content encoder": engine.encoder}
    lacking = [name for name, part in parts.items() if part is None]
    if lacking:
        raise EngineError(
            f"{engine.path} has no {' and no '.join(lacking)}, so it cannot convert recordings",
            f"build it again with {' and '.join('--' + name.split()[0] for name in lacking)}",
        )
    if engine.sampler.depth is not None:
        raise EngineError(
            f"{engine.path} refines given mels (depth {engine.sampler.depth}), so it cannot convert recordings",
            "call synthesise with a mel, or build it again without --depth",
        )
