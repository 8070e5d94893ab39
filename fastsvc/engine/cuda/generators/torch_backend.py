"""The generator on a GPU through PyTorch, in float16 or float32: cuDNN's convolutions, channels-last, or cuBLAS and
cuFFT."""

from __future__ import annotations

from collections.abc import Callable

import torch

from fastsvc.engine import buckets
from fastsvc.engine.cpu.source_filter import SourceFilterVocoder
from fastsvc.engine.cpu.vocoder import Vocoder


class TorchGenerator:
    """A backend of the vocoder (fastsvc/engine/cuda/generators/choice.py). It runs wherever PyTorch does.

    ``search``: try cuDNN's algorithms for prepared lengths, which takes seconds.
    """

    name, how = "torch", "PyTorch's convolutions, or matrix products and Fourier transforms"

    def __init__(self, vocoder: Vocoder | SourceFilterVocoder, search: bool = True):
        self.vocoder, self.search = vocoder, search

    def bind(self, inputs) -> Callable[[], None]:
        """A call that computes ``inputs.audio`` (fastsvc.engine.cuda.vocoder.VocoderInputs); a graph may capture it."""
        # the search is not worth its time for a length that may never come again
        search = self.search and inputs.mel.shape[1] in buckets.EVEN_FRAMES

        def run() -> None:
            with _cudnn(benchmark=search):
                inputs.audio.copy_(self.vocoder(inputs.mel, inputs.excitation, inputs.extra))

        return run

    def release(self) -> None:
        """This backend holds no memory for its shapes."""


def _cudnn(benchmark: bool):
    """cuDNN with deterministic algorithms, and float32 products without TF32."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, deterministic=True, allow_tf32=False)
