"""Our phonetic recogniser on a GPU, in the blocks of fastsvc/features/content.py.

Log-mel and its normalisation stay in float32. Each dilated convolution is one product over all its taps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.audio.slicing import blocks
from fastsvc.config import RecogniserConfig
from fastsvc.engine.cuda.programs import LENGTHS, Programs, audio_to_device, prepared_length
from fastsvc.features import content
from fastsvc.model.recogniser import DILATION_CYCLE, ConvTrunk, normalise


class DilatedConv:
    """[T, C] -> [T, C']."""

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int = 1):
        self.weight, self.bias = weight.transpose(1, 2).flatten(1).contiguous(), bias
        self.kernel, self.dilation = weight.shape[2], dilation

    def __call__(self, x: Tensor) -> Tensor:
        (length, channels), reach = x.shape, self.kernel // 2 * self.dilation
        padded = F.pad(x, (0, 0, reach, reach))
        taps = padded.as_strided((length, self.kernel, channels), (channels, self.dilation * channels, 1))
        return F.linear(taps.flatten(1), self.weight, self.bias)


class RecogniserWeights:
    """The tensors in ``dtype``, convolutions as products."""

    def __init__(self, config: RecogniserConfig, tensors: dict[str, Tensor], dtype: torch.dtype, device: torch.device):
        self.config, self.dtype, self.device = config, dtype, device
        self.tensors = {
            name: value.to(device, dtype) for name, value in tensors.items() if not name.startswith("head.")
        }
        self._lower(config)

    def _lower(self, config: RecogniserConfig) -> None:
        self.stem = DilatedConv(*self.pair("trunk.stem"))
        dilations = [DILATION_CYCLE[i % len(DILATION_CYCLE)] for i in range(config.layers)]
        self.convs = [
            DilatedConv(*self.pair(f"trunk.blocks.{i}.conv"), dilation) for i, dilation in enumerate(dilations)
        ]
        with torch.device("meta"):
            self.halo_frames = ConvTrunk(config).halo_frames

    def pair(self, name: str) -> tuple[Tensor, Tensor]:
        return self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]

    def norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], *self.pair(name))


class RecogniserProgram:
    """One prepared length: log-mel [frames, M], of which ``valid_frames`` are real, -> units [frames, D]."""

    def __init__(self, weights: RecogniserWeights, frames: int):
        config, device = weights.config, weights.device
        self.weights = weights
        self.mel = torch.zeros(frames, config.mel.bins, device=device)
        self.valid_frames = torch.zeros(1, dtype=torch.int64, device=device)
        self.out = torch.zeros(frames, config.bottleneck, device=device)
        self.frame_numbers = torch.arange(frames, device=device)

    def run(self) -> None:
        weights = self.weights
        beyond = (self.frame_numbers >= self.valid_frames)[:, None]
        mel, valid = self.mel.masked_fill(beyond, 0), (~beyond).float()
        x = normalise(mel[None], valid[None], weights.config.mean_frames)[0].to(weights.dtype)
        x = weights.stem(x)
        for i, conv in enumerate(weights.convs):
            y = conv(weights.norm(x, f"trunk.blocks.{i}.norm").masked_fill_(beyond, 0))
            x = x + F.linear(F.glu(y, dim=-1), *weights.pair(f"trunk.blocks.{i}.out"))
        self.out.copy_(torch.tanh(F.linear(weights.norm(x, "trunk.norm"), *weights.pair("bottleneck"))))


class CudaRecogniserEncoder(content.RecogniserEncoder):
    """Units stay on the device. Only for the architecture "conv"."""

    parts: ClassVar[tuple[type, type]] = RecogniserWeights, RecogniserProgram  # the latter for one prepared length

    def __init__(self, config: RecogniserConfig, tensors: dict[str, Tensor], dtype: torch.dtype, device):
        self.config, self.device = config, torch.device(device)
        self.output_device = self.device
        weights, program = self.parts
        with torch.inference_mode(False):
            self.weights = weights(config, tensors, dtype, self.device)
        self.programs = Programs(lambda frames: program(self.weights, frames), self.device)
        self._describe(config)

    def encode(self, audio) -> Tensor:
        """audio [samples] at 16 kHz, tensor or array -> units [max(1, samples // hop), D], on the device."""
        return self.programs.within_memory(
            lambda: content.RecogniserEncoder.encode(self, audio_to_device(audio, self.device))
        )

    def _units(self, mel: Tensor) -> Tensor:
        units = torch.empty(1, mel.shape[1], self.channels, device=self.device)
        for first, last, begin, end in blocks(mel.shape[1], content.BLOCK_FRAMES, self.weights.halo_frames):
            program, replay = self.programs.prepared(prepared_length(end - begin))
            program.mel[: end - begin].copy_(mel[0, begin:end])
            program.valid_frames.fill_(end - begin)
            replay()
            units[0, first:last] = program.out[first - begin : last - begin]
        return units

    def warm_up(self, seconds: Iterable[float] | None = None) -> None:
        """Make the graphs for recordings of these lengths, longest first; None: for every prepared length."""
        frames = [round(duration * self.rate_hz) // self.hop_samples for duration in seconds or ()]
        longest = content.BLOCK_FRAMES + 2 * self.weights.halo_frames
        shapes = {prepared_length(min(n, longest)) for n in (LENGTHS if seconds is None else frames)}
        for shape in sorted(shapes, reverse=True):
            self.programs.within_memory(lambda shape=shape: self.programs.prepared(shape))
