"""The vocoder's backends on a GPU, and what a measurement of them holds for."""

from __future__ import annotations

import torch

from fastsvc.engine.cpu_vocoder import Vocoder
from fastsvc.engine.vocoder_choice import Choice
from fastsvc.engine.vocoder_torch import TorchGenerator


def choice(model, tensors, dtype, device, arch: int, launcher, wanted: str = "auto") -> Choice:
    """The backends for a fastsvc.engine.backends.Model in ``dtype``. Raises EngineError if ``wanted`` cannot run."""
    config = model.vocoder

    def plain(kind: torch.dtype) -> TorchGenerator:
        with torch.inference_mode(False):
            return TorchGenerator(Vocoder(tensors, config, kind, device))

    makers = {"torch": lambda: plain(dtype)}
    return Choice(makers, lambda: plain(torch.float32), wanted)
