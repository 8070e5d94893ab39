"""The vocoder's static buffers of one shape on a GPU, and how the excitation gets into them.

The mixed sources of HiFi-GAN generators are written by a kernel (kernels/vocoder/source.py), the single sine of PC-NSF
(vocoder_feed.py) and the pulses and noise of the source-filter vocoder by PyTorch inside the graph. Generators without
a source have no excitation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.config import AnyVocoderConfig, SourceFilterConfig, VocoderConfig
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.vocoder import source as source_kernel
from fastsvc.model import noise, pulses, vocoders


def by_kernel(config: AnyVocoderConfig) -> bool:
    """Whether the source kernel writes the excitation."""
    return isinstance(config, VocoderConfig) and config.source in ("sines", "pulse")


class VocoderInputs:
    """``batch`` slices of ``frames``; None for an input that the vocoder does not have.

    ``extra``: the third input of fastsvc/model/vocoders.py; ``added``: the same where a generator adds it to its first
    convolution's output, as noise and a speaker's vector are.
    """

    def __init__(self, config: AnyVocoderConfig, batch: int, frames: int, device):
        with torch.inference_mode(False):

            def zeros(*shape: int, dtype=torch.float32) -> Tensor:
                return torch.zeros(batch, *shape, dtype=dtype, device=device)

            shapes = vocoders.shapes(config, batch, frames)
            self.mel, self.f0_hz = zeros(*shapes["mel"][1:]), zeros(frames)
            self.excitation = zeros(*shapes["source"][1:]) if "source" in shapes else None
            self.audio = zeros(frames * config.mel.hop_samples)
            self.first_frames, self.seeds = zeros(dtype=torch.int64), zeros(dtype=torch.int64)
            self.noise = zeros(*shapes["noise"][1:]) if "noise" in shapes else None
            self.speaker = zeros(*shapes["speaker"][1:]) if "speaker" in shapes else None
            self.added = self.extra = self.noise if self.speaker is None else self.speaker
            if isinstance(config, SourceFilterConfig):
                self.phase, self.extra = zeros(frames, dtype=torch.float64), self.f0_hz
            else:
                self.starts, self.growth = zeros(frames, dtype=torch.int64), zeros(frames, dtype=torch.int64)
                self.offsets = zeros(source_kernel.width(config.source_channels), dtype=torch.int64)
                self.lengths = torch.full((batch,), frames, dtype=torch.int32, device=device)

    def source(self, config: VocoderConfig, weight: Tensor, bias: Tensor) -> Launch:
        """The launch that writes the harmonic source into ``excitation``."""
        assert self.excitation is not None, "the generator has a source"
        tensors = self.f0_hz, self.starts, self.growth, self.offsets, weight, bias, self.excitation
        slices = self.lengths, self.first_frames, self.seeds
        kind = config.mel.rate_hz, config.source_channels, config.source == "pulse"
        return source_kernel.launch(*tensors, *slices, *kind)

    def start_source(self, config: AnyVocoderConfig, mixing, launcher) -> Callable[[], None] | None:
        """A call that writes ``excitation`` and can be captured in a CUDA graph; None where nothing is left to do."""
        if isinstance(config, SourceFilterConfig):
            return lambda: self._pulses(config)
        return None if mixing is None else launcher.bind(self.source(config, *mixing))

    def _pulses(self, config: SourceFilterConfig) -> None:
        frames, hop = self.f0_hz.shape[1], config.mel.hop_samples
        places = self.first_frames[:, None] + torch.arange(frames, device=self.f0_hz.device)
        draws = noise.drawn(self.seeds[:, None, None], 0, places, hop, noise.SOURCE_STREAM)
        assert self.excitation is not None
        self.excitation.copy_(pulses.excitation(self.f0_hz, self.phase, draws.flatten(1), config))


def source_mixing(vocoder) -> tuple[Tensor, Tensor]:
    """Weight, padded for the kernel, and bias of the source's channels, of a fastsvc.engine.cpu.vocoder.Vocoder."""
    assert vocoder.linear is not None, "the single sine of PC-NSF is not mixed"
    weight, bias = vocoder.linear
    padded = weight.new_zeros(source_kernel.width(weight.shape[1]))
    padded[: weight.shape[1]] = weight[0]
    return padded, bias.clone()  # cloned, because its offset in the file need not be aligned
