"""The generator on a GPU through our kernels, one launch for each residual unit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.config import VocoderConfig
from fastsvc.engine.cuda.denoiser import FLOAT32_PRODUCTS
from fastsvc.engine.cuda.graphs import Arena, ArenaSizer
from fastsvc.errors import EngineError
from fastsvc.kernels import tiles
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.vocoder.generator import GeneratorLaunches
from fastsvc.kernels.vocoder.pack import PackedGenerator, pack_generator

MOST_ELEMENTS = 2**31 - 1  # of one sequence in one buffer: kernels count them in 32 bits


class TritonGenerator:
    """A backend of the vocoder: a generator of one shape after another, all in one block of memory.

    ``dtype``: its type (float32 products as three of TF32); the last convolution is always in float32.
    ``launcher``: fastsvc.engine.cuda.launcher's. Raises EngineError where the architecture cannot run it.
    """

    name = "triton"

    def __init__(self, tensors: dict[str, Tensor], config: VocoderConfig, dtype: torch.dtype, device, arch, launcher):
        self.config, self.arch, self.launcher = config, _checked_arch(arch), launcher
        self.device = torch.device(device)
        with torch.inference_mode(False):
            self.weights = pack_generator(tensors, config, dtype, self.device)
        self.how = f"Triton kernels, {launcher.how}"
        self.release()

    def bind(self, inputs) -> Callable[[], None]:
        """A call that computes ``inputs.audio`` (fastsvc.engine.cuda.vocoder.VocoderInputs); a graph may capture it.

        It waits for nothing and allocates nothing. Only one shape may run at a time. Raises EngineError where a shape
        is too long or a kernel is missing, torch.OutOfMemoryError where memory is short.
        """
        batch, frames = inputs.mel.shape[:2]
        self._check(frames)
        buffers = generator(self.weights, self.config, batch, frames, self.arch, self._memory(batch, frames))
        starts = self.launcher.bind_chain(launches(buffers, inputs))

        def run() -> None:
            for start in starts:
                start()

        return run

    def _memory(self, batch: int, frames: int) -> Arena:
        """The block of memory from its beginning. A block that became too small stays: graphs still point into it."""
        sizer = ArenaSizer()
        generator(self.weights, self.config, batch, frames, self.arch, sizer)
        if not self.arenas or len(self.arenas[-1].memory) < sizer.size:
            self.arenas.append(Arena(sizer.size, self.device))
        return self.arenas[-1].restarted()

    def _check(self, frames: int) -> None:
        if frames * max(self.weights.most_elements, self.config.mel.hop_samples) > MOST_ELEMENTS:
            raise EngineError(f"a slice of {frames} frames is too long for the vocoder's kernels", "use shorter blocks")

    def release(self) -> None:
        """Forget the memory of all shapes; calls from :meth:`bind` must not be used any more."""
        self.arenas: list[Arena] = []


def generator(weights: PackedGenerator, config: VocoderConfig, batch: int, frames: int, arch: int, allocate):
    """The generator's buffers at one shape; float32 products are computed as in the denoiser."""
    return GeneratorLaunches(weights, config, batch, frames, arch, FLOAT32_PRODUCTS, allocate)


def launches(buffers: GeneratorLaunches, inputs) -> list[Launch]:
    """All launches of one shape, over its inputs (fastsvc.engine.cuda.vocoder.VocoderInputs)."""
    return buffers.launches(inputs.mel, inputs.excitation, inputs.added, inputs.audio)


def without_storage(config: VocoderConfig, dtype: torch.dtype) -> PackedGenerator:
    """Packed weights on the meta device, for compiling ahead of time."""
    from fastsvc.model import vocoder
    from fastsvc.model.keys import skeleton

    tensors = skeleton(lambda: vocoder.Generator(config)).state_dict()
    with torch.device("meta"):
        return pack_generator(tensors, config, dtype, "meta")


def _checked_arch(arch: int) -> int:
    try:
        return tiles.architecture(arch)
    except ValueError as error:
        raise EngineError(f"the vocoder's kernels cannot run here: {error}", "use another vocoder backend") from None
