"""Shallow diffusion: engines that refine a mel from some depth of the chain instead of sampling it from noise."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.engine import tensors
from fastsvc.errors import ConfigError, EngineError

SILENCE = -5.0  # a log-mel to warm up with


def refines(engine) -> bool:
    return engine.sampler.depth is not None


def mel(engine, start_mel, frames: int) -> Tensor | None:
    """``start_mel``, the log-mel [T, M] to refine, checked; None for engines that do not refine.

    Raises ConfigError where it is missing, superfluous or of the wrong shape.
    """
    if (start_mel is None) == refines(engine):
        behaviour = "refines given mels" if start_mel is None else "makes mels from noise"
        raise ConfigError(f"{engine.path} {behaviour}", "pass mel [T, M]" if start_mel is None else "omit mel")
    if start_mel is None:
        return None
    start_mel, bins = tensors.checked("mel", start_mel, torch.float32), engine.config.mel.bins
    if start_mel.shape != (frames, bins):
        raise ConfigError(f"mel has shape {tuple(start_mel.shape)}", f"[{frames}, {bins}] fits the other features")
    return start_mel


def check_convertible(engine) -> None:
    """Raises EngineError for an engine that refines: no part makes the mel of a recording that it would refine."""
    if refines(engine):
        raise EngineError(
            f"{engine.path} refines given mels (depth {engine.sampler.depth}), so it cannot convert recordings",
            "call synthesise with a mel, or build the engine again without --depth",
        )


def stand_in(engine, frames: int) -> Tensor | None:
    """A mel [T, M] to warm up with, if this engine takes one."""
    return torch.full((frames, engine.config.mel.bins), SILENCE) if refines(engine) else None
