"""The vocoder: the generator's convolutions in channels-last memory, in place wherever nothing is lost.

oneDNN computes on blocks of channels. Given PyTorch's [B, C, T] it reorders every input and output; given the same
numbers as [B, C, 1, T] in channels-last memory it reads and writes them without reordering. So does cuDNN, whose tensor
cores need this layout: engine/cuda/generators/torch_backend.py runs this module on a GPU.

On a CPU the residual blocks of a stage go over stretches that stay in its cache, each with as many rows more at both
ends as the blocks reach, so that the result is that of one pass. Measured on two cores with AVX-512 and the generator
of RVC at 40 kHz: a tenth less time than whole blocks of 512 frames, whose every new tensor is memory not yet mapped.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.audio.slicing import blocks
from fastsvc.config import VocoderConfig
from fastsvc.engine.cpu.vocoder_rows import kept_audio
from fastsvc.model.vocoder import LAST_SLOPE, SLOPE, halo_frames

STRETCH_BYTES = 2 << 20  # of one tensor of a stretch
LEAST_REACHES = 48  # a stretch is at least this many times as long as what is computed twice at each end


class Vocoder:
    """Log-mel and excitation → audio, from the tensors of `Generator` (fastsvc/model/vocoder.py).

    It computes in ``dtype``, except for the source and the last convolution, as samples need more than 11 bits.
    """

    def __init__(self, tensors: dict[str, Tensor], config: VocoderConfig, dtype=torch.float32, device="cpu"):
        self.config, self.dtype = config, dtype
        self.halo_frames = halo_frames(config)
        exact = ("m_source.", "conv_post.")
        weights = {n: v.to(device, torch.float32 if n.startswith(exact) else dtype) for n, v in tensors.items()}
        self.linear = None
        if "m_source.l_linear.weight" in weights:
            self.linear = weights["m_source.l_linear.weight"], weights["m_source.l_linear.bias"]
        self.pre, self.post = SameLengthConv(weights, "conv_pre"), SameLengthConv(weights, "conv_post")
        self.stages = [UpsamplingStage(weights, config, i) for i in range(len(config.upsample_rates))]

    def part(self, mel: Tensor, source: Tensor | None, added: Tensor | None, keep: tuple[int, int]) -> Tensor:
        """As :meth:`__call__` of one window, the audio of its frames keep[0] … keep[1] − 1 alone: [frames · hop]."""
        rows = None if source is None else source[0].to(self.dtype)
        extra = None if added is None else added[0].to(self.dtype)
        return kept_audio(self, mel[0].to(self.dtype), rows, extra, keep)

    def source(self, sines: Tensor | None) -> Tensor | None:
        """Sines [B, T·source_hop_samples, source_channels] → one excitation [B, T·source_hop_samples]; None → None."""
        return mixed_excitation(sines, self.linear, self.config)

    def __call__(self, mel: Tensor, source: Tensor | None, added: Tensor | None = None) -> Tensor:
        """mel [B, T, M], ``source`` from :meth:`source`, ``added`` [B, T, initial_channels] or what broadcasts to it
        (Generator.forward) → audio [B, T·hop]."""
        x = mel.to(self.dtype).transpose(1, 2)[:, :, None].contiguous(memory_format=torch.channels_last)
        if source is not None:
            source = source.to(self.dtype)[:, None, None].contiguous(memory_format=torch.channels_last)
        x = self.pre(x)
        if added is not None:
            x.add_(added.to(self.dtype).transpose(1, 2)[:, :, None], alpha=self.config.added_gain)
        for stage in self.stages:
            x = stage(x, source)
        return torch.tanh(self.post(F.leaky_relu_(x, LAST_SLOPE).float()))[:, 0, 0]


def mixed_excitation(
    sines: Tensor | None, linear: tuple[Tensor, Tensor] | None, config: VocoderConfig
) -> Tensor | None:
    """Sines → excitation by the source's linear layer (weight, bias); the single sine of PC-NSF has no such layer, and
    a vocoder without a source has neither."""
    if sines is None:
        return None
    if linear is None:
        return sines.squeeze(-1)
    excitation = F.linear(sines, *linear).squeeze(-1)
    return excitation if config.source == "pulse" else torch.tanh(excitation)


class SameLengthConv:
    """One convolution over time that keeps the length, on [B, C, 1, T] in channels-last memory."""

    def __init__(self, weights: dict[str, Tensor], name: str, dilation: int = 1):
        self.weight, self.bias = _flat(weights[f"{name}.weight"]), weights[f"{name}.bias"]
        self.dilation = (1, dilation)
        self.padding = (0, (self.weight.shape[-1] - 1) * dilation // 2)

    def __call__(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, padding=self.padding, dilation=self.dilation)


class UpsamplingStage:
    """One upsampling, the excitation at its rate, and the residual blocks over the sum."""

    def __init__(self, weights: dict[str, Tensor], config: VocoderConfig, index: int):
        rate, kernel = config.upsample_rates[index], config.upsample_kernels[index]
        self.layer_norm = config.family == "m4"
        self.up = _flat(weights[f"ups.{index}.weight"]), weights[f"ups.{index}.bias"]
        self.up_stride, self.up_padding = (1, rate), (0, (kernel - rate) // 2)
        stride = math.prod(config.upsample_rates[index + 1 :])
        name = config.source_conv(index)
        if config.source == "sine":
            stride = 1
        self.branch = (_flat(weights[f"{name}.weight"]), weights[f"{name}.bias"]) if name else None
        self.branch_stride, self.branch_padding = (1, stride), (0, stride // 2)
        first = index * len(config.resblock_kernels)
        self.blocks = [
            [
                [
                    SameLengthConv(weights, f"resblocks.{first + i}.{name}.{j}", d)
                    for name, d in _unit(config.resblock, dilation)
                ]
                for j, dilation in enumerate(dilations)
            ]
            for i, dilations in enumerate(config.resblock_dilations)
        ]
        self.reach = max(sum(conv.padding[1] for unit in block for conv in unit) for block in self.blocks)

    def __call__(self, x: Tensor, source: Tensor | None) -> Tensor:
        x = F.conv_transpose2d(F.leaky_relu_(x, SLOPE), *self.up, stride=self.up_stride, padding=self.up_padding)
        if self.branch is not None:
            assert source is not None, "this vocoder takes an excitation"
            x.add_(self.excitation(source, *self.branch))
        rows, bytes_of_row = x.shape[-1], x.element_size() * x.shape[1]
        stretch = max(STRETCH_BYTES // bytes_of_row, LEAST_REACHES * self.reach)
        if x.device.type != "cpu" or rows <= stretch:
            return self.residual_blocks(x)
        result = torch.empty_like(x)
        for first, last, start, end in blocks(rows, stretch, self.reach):
            result[..., first:last] = self.residual_blocks(x[..., start:end])[..., first - start : last - start]
        return result

    def residual_blocks(self, x: Tensor) -> Tensor:
        """The mean of the blocks over x [B, C, 1, L]; ``reach`` rows at each end depend on what lies beyond."""
        total = None
        for block in self.blocks:
            y = x
            for unit in block:
                y = _residual(y, unit)
            total = y if total is None else total.add_(y)
        assert total is not None, "a stage has blocks"
        return total.div_(len(self.blocks))

    def excitation(self, source: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        branch = F.conv2d(source, weight, bias, stride=self.branch_stride, padding=self.branch_padding)
        if not self.layer_norm:
            return branch
        branch = F.relu_(branch).permute(0, 2, 3, 1)
        return F.layer_norm(branch, branch.shape[-1:]).permute(0, 3, 1, 2)


def _residual(x: Tensor, unit: list[SameLengthConv]) -> Tensor:
    y = unit[0](F.leaky_relu(x, SLOPE))
    for conv in unit[1:]:
        y = conv(F.leaky_relu_(y, SLOPE))
    return y.add_(x)


def _unit(kind: str, dilation: int) -> list[tuple[str, int]]:
    """The convolutions of one residual unit: parameter name and dilation."""
    return [("convs1", dilation), ("convs2", 1)] if kind == "1" else [("convs", dilation)]


def _flat(weight: Tensor) -> Tensor:
    """[O, I, K] → [O, I, 1, K] in channels-last memory."""
    return weight[:, :, None].contiguous(memory_format=torch.channels_last)
