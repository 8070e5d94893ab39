"""Checks of requests to an engine, before any work: each error says what is wrong and what would be right."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fastsvc import arguments
from fastsvc.config import VOCODER_BACKENDS, DdspConfig, RvcConfig
from fastsvc.engine import shallow, tensors
from fastsvc.errors import ConfigError, EngineError

WARM_UP_S = (0.0, 3600.0)
MOST_FRAMES = 2**31 - 1


def opening(precision, vocoder_backend) -> None:
    """The arguments of opening an engine. Raises ConfigError."""
    arguments.one_of("precision", precision, arguments.PRECISIONS)
    arguments.one_of("vocoder backend", vocoder_backend, VOCODER_BACKENDS)


def steps(engine, requested) -> int:
    """The number of sampling steps; None requests the engine's default. Raises ConfigError for a value that is not a
    number of steps, EngineError for a number that is not built in."""
    number = engine.default_steps if requested is None else arguments.whole_number("steps", requested, *arguments.STEPS)
    if number not in engine.steps:
        built = ", ".join(map(str, engine.steps))
        more = f"choose one of them, or build the engine again with --steps {number}"
        remedy = "omit steps, as a voice of RVC draws once" if isinstance(engine.config, RvcConfig) else more
        raise EngineError(f"{number} steps are not built in, {built} are", remedy)
    return number


def groups(value) -> list | str | None:
    """Numbers of frames of recordings that are synthesised together, "all", or None. Raises ConfigError."""
    if value is None or (isinstance(value, str) and value == "all"):
        return value
    if isinstance(value, str):
        raise ConfigError(f"groups are {arguments.shown(value)}", 'use "all", or lists of frames')

    def frames_of_group(name, group):
        return list(arguments.several(arguments.whole_number, name, group, 1, MOST_FRAMES))

    if isinstance(value, (list, tuple)) and not value:
        return []
    return list(arguments.several(frames_of_group, "groups", value))


def noise(engine, draws, frames: int, steps: int) -> Tensor | None:
    """Draws [steps, T, M] that the caller supplies, or None. Raises ConfigError."""
    if draws is None:
        return None
    draws = tensors.checked("noise", torch.stack(list(draws)) if _is_tensors(draws) else draws)
    bins = engine.config.mel.bins
    least = steps if engine.sampler.method == "consistency" else 1  # other samplers draw once
    if draws.dim() != 3 or len(draws) < least or tuple(draws.shape[1:]) != (frames, bins):
        raise ConfigError(f"noise has shape {tuple(draws.shape)}", f"[{least}, {frames}, {bins}] is needed")
    return draws


def _is_tensors(draws) -> bool:
    return isinstance(draws, (list, tuple)) and bool(draws) and all(isinstance(draw, Tensor) for draw in draws)


def features(units: Tensor, f0_hz: Tensor, volume: Tensor, voiced: Tensor, channels: int) -> None:
    """Raises ConfigError unless the shapes are units [Tu, channels] and [T] three times."""
    if f0_hz.dim() != 1 or volume.shape != f0_hz.shape or voiced.shape != f0_hz.shape or len(f0_hz) == 0:
        raise ConfigError("f0_hz, volume and voiced must be of one shape [T], T ≥ 1", "cut them to one length")
    if units.dim() != 2 or units.shape[1] != channels or len(units) == 0:
        raise ConfigError(f"units have shape {tuple(units.shape)}", f"[Tu, {channels}] is needed")


def finite(*results: np.ndarray | None) -> None:
    """Raises EngineError for a result with NaN or infinities, which no file and no caller should get."""
    for values in results:
        if values is not None and values.size and not np.isfinite((values.min(), values.max())).all():  # NaN is either
            raise EngineError(
                "the result holds NaN or infinite numbers",
                "its weights are damaged, or too large for its precision: build the engine again with --precision fp32",
            )


def makes_mels(engine) -> None:
    """Raises EngineError for a voice of RVC, where mels are to be compared: its vocoder takes a latent."""
    if isinstance(engine.config, RvcConfig):
        raise EngineError(
            f"{engine.path} is a voice of RVC, which makes no mels to compare",
            "convert recordings with it and judge those: python -m bench.ears_folder CONVERTED --input RECORDINGS",
        )


def streams(engine) -> None:
    """Raises EngineError for a voice of DDSP-SVC, which streams do not convert with yet."""
    if isinstance(engine.config, DdspConfig):
        raise EngineError(
            f"{engine.path} is a voice of DDSP-SVC, with which streams and live conversion do not work yet",
            "convert files with it: fastsvc convert",
        )


def convertible(engine) -> None:
    """Raises EngineError, saying what to build, if the engine lacks a part that converting recordings needs."""
    foreign = engine.config.foreign_encoders
    if foreign:
        units = " and ".join(foreign)
        raise EngineError(
            f"{engine.path} takes units of {units}, which are not computed here, so it cannot convert recordings",
            "make the units with Amphion, and call Engine.synthesise",
        )
    parts = {"vocoder": engine.synthesiser, "content encoder": engine.encoder}
    missing = [name for name, part in parts.items() if part is None]
    if missing:
        raise EngineError(
            f"{engine.path} has no {' and no '.join(missing)}, so it cannot convert recordings",
            f"build the engine again with {' and '.join('--' + name.split()[0] for name in missing)}",
        )
    shallow.check_convertible(engine)
