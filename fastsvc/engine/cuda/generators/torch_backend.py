"""The generator on a GPU through PyTorch: cuDNN's convolutions, channels-last, in float16 or float32."""

from __future__ import annotations

from collections.abc import Callable

import torch

from fastsvc.engine import buckets
from fastsvc.engine.cpu.vocoder import Vocoder


class TorchGenerator:
    """A backend of the vocoder (fastsvc/engine/cuda/generators/choice.py). It runs wherever PyTorch does.

    ``search``: try cuDNN's algorithms for prepared lengths, which takes seconds.
    """

    name, how = "torch", "PyTorch's convolutions, channels-last"

    def __init__(self, vocoder: Vocoder, search: bool = True):
        self.vocoder, self.search = vocoder, search

    def bind(self, given) -> Callable[[], None]:
        """A call that makes ``given.audio`` (fastsvc.engine.cuda.vocoder.VocoderInputs); a graph may capture it."""
        # a length that may never come again is not worth it
        search = self.search and given.mel.shape[1] in buckets.EVEN_FRAMES

        def run() -> None:
            with _cudnn(benchmark=search):
                given.audio.copy_(self.vocoder(given.mel, given.excitation, given.noise))

        return run

    def release(self) -> None:
        """Nothing is held by shape."""


def _cudnn(benchmark: bool):
    """cuDNN with algorithms that give the same every time, and float32 that is float32."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, deterministic=True, allow_tf32=False)
