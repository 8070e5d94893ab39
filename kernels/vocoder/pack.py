"""The generator's tensors (`Generator` in fastsvc/model/vocoder.py, weight norm folded) → the kernels' layouts.

Channels are padded with zeros: to a power of two up to 64, at least 16, beyond that to a multiple of 64. A padded
channel stays zero through every layer: its weights and biases are zeros, leaky(0) and 0 + 0 are zeros, and the norm's
(relu(0) − mean) is cut off at the real channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsvc.config import VocoderConfig
from fastsvc.kernels.denoiser import pack
from fastsvc.kernels.denoiser.pack import fit
from fastsvc.kernels.tiles import power_of_two

NARROWEST = 16  # columns of a tensor core's product


def padded(channels: int) -> int:
    """The number of channels in a buffer for ``channels``."""
    return power_of_two(channels) if channels <= pack.MULTIPLE else pack.padded(channels)


@dataclass(frozen=True)
class PackedConv:
    """One convolution that keeps the length: weight [taps, C, C'] of the compute type, bias [C'] in float32."""

    weight: Tensor
    bias: Tensor
    dilation: int = 1


@dataclass(frozen=True)
class PackedUpsample:
    """A transposed convolution, and the excitation's at the same rate, if any (kernels/vocoder/upsample.py)."""

    weight: Tensor  # [rate, taps, C, C']: tap j·rate + phase, zeros beyond the last
    bias: Tensor  # [C']
    padding: int
    mix: Tensor | None  # [taps rounded up to a power of two, C']
    mix_bias: Tensor | None  # [C']
    mix_taps: int
    channels: int  # of C', not padded


@dataclass(frozen=True)
class PackedStage:
    """One upsampling and its residual blocks; a block is a tuple of units, a unit one or two convolutions."""

    up: PackedUpsample
    blocks: tuple[tuple[tuple[PackedConv, ...], ...], ...]


@dataclass(frozen=True)
class PackedGenerator:
    """All weights of a generator, on its device."""

    pre: PackedConv
    stages: tuple[PackedStage, ...]
    post_weight: Tensor  # [taps, C], float32
    post_bias: Tensor  # [1]

    @property
    def dtype(self) -> torch.dtype:
        return self.pre.weight.dtype

    @property
    def most_elements(self) -> int:
        """Elements of one mel frame in the largest stage's buffer."""
        sizes, hop = [self.pre.weight.shape[2]], 1
        for stage in self.stages:
            rate, _, _, columns = stage.up.weight.shape
            hop *= rate
            sizes.append(hop * columns)
        return max(sizes)


class _Packer:
    """Tensors by name, brought to one type and device."""

    def __init__(self, tensors: dict[str, Tensor], dtype: torch.dtype, device):
        self.tensors, self.dtype, self.device = tensors, dtype, device

    def weight(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.dtype).contiguous()

    def vector(self, name: str, width: int) -> Tensor:
        return fit(self.tensors[name], width).to(self.device, torch.float32).clone()

    def conv(self, name: str, dilation: int = 1) -> PackedConv:
        weight = self.tensors[f"{name}.weight"].permute(2, 1, 0)
        taps, rows, columns = weight.shape
        rows = padded(rows) if name != "conv_pre" else -(-rows // NARROWEST) * NARROWEST  # mels are not padded
        weight = fit(weight, taps, rows, padded(columns))
        return PackedConv(self.weight(weight), self.vector(f"{name}.bias", padded(columns)), dilation)

    def up(self, index: int, rate: int, kernel: int, branch: str) -> PackedUpsample:
        weight = self.tensors[f"ups.{index}.weight"]
        rows, columns, _ = weight.shape
        taps = -(-kernel // rate)
        weight = fit(weight, padded(rows), padded(columns), taps * rate)
        weight = weight.unflatten(2, (taps, rate)).permute(3, 2, 0, 1)
        bias, mix, mix_bias, mix_taps = self.vector(f"ups.{index}.bias", padded(columns)), None, None, 0
        if branch:
            mix = self.tensors[f"{branch}.weight"][:, 0].T
            mix_taps = len(mix)
            mix = self.weight(fit(mix, power_of_two(mix_taps), padded(columns)))
            mix_bias = self.vector(f"{branch}.bias", padded(columns))
        return PackedUpsample(self.weight(weight), bias, (kernel - rate) // 2, mix, mix_bias, mix_taps, columns)


def pack_generator(tensors: dict[str, Tensor], config: VocoderConfig, dtype: torch.dtype, device) -> PackedGenerator:
    """Weights of the compute type; the last convolution in float32, as samples need more than 11 bits."""
    packer = _Packer(tensors, dtype, device)
    stages = []
    for i, (rate, kernel) in enumerate(zip(config.upsample_rates, config.upsample_kernels)):
        branch = config.source_conv(i)
        first = i * len(config.resblock_kernels)
        blocks = [
            tuple(_unit(packer, f"resblocks.{first + j}", k, d, config.resblock) for k, d in enumerate(dilations))
            for j, dilations in enumerate(config.resblock_dilations)
        ]
        stages.append(PackedStage(packer.up(i, rate, kernel, branch), tuple(blocks)))
    post = tensors["conv_post.weight"][0].T
    post = fit(post, len(post), padded(post.shape[1])).to(device, torch.float32).contiguous()
    return PackedGenerator(packer.conv("conv_pre"), tuple(stages), post, packer.vector("conv_post.bias", 1))


def _unit(packer: _Packer, block: str, index: int, dilation: int, kind: str) -> tuple[PackedConv, ...]:
    if kind == "2":
        return (packer.conv(f"{block}.convs.{index}", dilation),)
    return packer.conv(f"{block}.convs1.{index}", dilation), packer.conv(f"{block}.convs2.{index}")


def hops(config: VocoderConfig) -> list[int]:
    """Rows of each stage's output a mel frame."""
    return [math.prod(config.upsample_rates[: i + 1]) for i in range(len(config.upsample_rates))]
