"""What an engine is asked for, checked before any work: each says what is wrong and what would be right."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fastsvc import arguments
from fastsvc.config import VOCODER_BACKENDS
from fastsvc.engine import shallow, tensors
from fastsvc.errors import ConfigError, EngineError

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
WARM_UP_S = (0.0, 3600.0)
MOST_FRAMES = 2**31 - 1


def opening(precision, vocoder_backend) -> None:
    """How an engine is opened. Raises ConfigError."""
    arguments.one_of("precision", precision, PRECISIONS)
    arguments.one_of("vocoder backend", vocoder_backend, VOCODER_BACKENDS)


def steps(engine, asked) -> int:
    """The number of sampling steps, None for the engine's own choice. Raises ConfigError for what is no number of
    steps, EngineError for one that is not built in."""
    asked = engine.default_steps if asked is None else arguments.whole_number("steps", asked, *arguments.STEPS)
    if asked not in engine.steps:
        built = ", ".join(map(str, engine.steps))
        raise EngineError(
            f"{asked} steps are not built in, {built} are", "choose one of them, or build the engine again with --steps"
        )
    return asked


def groups(given) -> list | str | None:
    """Frames of recordings that are sung together, "all", or None. Raises ConfigError."""
    if given is None or (isinstance(given, str) and given == "all"):
        return given
    if isinstance(given, str):
        raise ConfigError(f"groups are {arguments.shown(given)}", 'use "all", or lists of frames')

    def one(name, group):
        return list(arguments.several(arguments.whole_number, name, group, 1, MOST_FRAMES))

    return [] if isinstance(given, (list, tuple)) and not given else list(arguments.several(one, "groups", given))


def noise(engine, given, frames: int, steps: int) -> Tensor | None:
    """Draws [steps, T, M] that are handed in. Raises ConfigError."""
    if given is None:
        return None
    found = tensors.checked("noise", torch.stack(list(given)) if _tensors(given) else given)
    bins = engine.config.mel.bins
    least = steps if engine.sampler.method == "consistency" else 1  # others draw once
    if found.dim() != 3 or len(found) < least or tuple(found.shape[1:]) != (frames, bins):
        raise ConfigError(f"noise has shape {tuple(found.shape)}", f"[{least}, {frames}, {bins}] is needed")
    return found


def _tensors(given) -> bool:
    return isinstance(given, (list, tuple)) and bool(given) and all(isinstance(one, Tensor) for one in given)


def features(units: Tensor, f0_hz: Tensor, volume: Tensor, voiced: Tensor, channels: int) -> None:
    """Raises ConfigError unless the shapes are units [Tu, channels] and [T] three times."""
    if f0_hz.dim() != 1 or volume.shape != f0_hz.shape or voiced.shape != f0_hz.shape or len(f0_hz) == 0:
        raise ConfigError("f0_hz, volume and voiced must be of one shape [T], T ≥ 1", "cut them to one length")
    if units.dim() != 2 or units.shape[1] != channels or len(units) == 0:
        raise ConfigError(f"units have shape {tuple(units.shape)}", f"[Tu, {channels}] is needed")


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
    foreign = engine.config.conditioner.foreign_encoders
    if foreign:
        units = " and ".join(foreign)
        raise EngineError(
            f"{engine.path} takes units of {units}, which are not computed here, so it cannot convert recordings",
            "make the units with Amphion, and call Engine.synthesise",
        )
    parts = {"vocoder": engine.synthesiser, "content encoder": engine.encoder}
    lacking = [name for name, part in parts.items() if part is None]
    if lacking:
        raise EngineError(
            f"{engine.path} has no {' and no '.join(lacking)}, so it cannot convert recordings",
            f"build the engine again with {' and '.join('--' + name.split()[0] for name in lacking)}",
        )
    shallow.check_convertible(engine)
