"""Shallow diffusion: engines that refine a mel from a depth of the chain, in place of making one from noise."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.engine import tensors
from fastsvc.errors import ConfigError, EngineError

SILENCE = -5.0  # a log-mel to warm up with


def refines(engine) -> bool:
    return engine.sampler.depth is not None


def mel(engine, given, frames: int) -> Tensor | None:
    """The log-mel [T, M] to refine, if this engine refines; ConfigError where one is missing, in the way or of wrong
    shape."""
    if (given is None) == refines(engine):
        what = "refines given mels" if given is None else "makes mels from noise"
        raise ConfigError(f"{engine.path} {what}", "pass mel [T, M]" if given is None else "omit mel")
    if given is None:
        return None
    given, bins = tensors.checked("mel", given, torch.float32), engine.config.mel.bins
    if given.shape != (frames, bins):
        raise ConfigError(f"mel has shape {tuple(given.shape)}", f"[{frames}, {bins}] fits the other features")
    return given


def check_convertible(engine) -> None:
    """Raises EngineError: nobody makes the mel of a recording that such an engine would refine."""
    if refines(engine):
        raise EngineError(
            f"{engine.path} refines given mels (depth {engine.sampler.depth}), so it cannot convert recordings",
            "call synthesise with a mel, or build the engine again without --depth",
        )


def stand_in(engine, frames: int) -> Tensor | None:
    """A mel [T, M] to warm up with, if this engine takes one."""
    return torch.full((frames, engine.config.mel.bins), SILENCE) if refines(engine) else None
