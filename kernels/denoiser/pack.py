"""Lowered tensors (fastsvc/artifact/lowered.py) → the kernels' layouts: padded, ordered and rounded once.

Channels and condition channels are padded with zeros to a multiple of 64, mel bins to a power of two. A padded
channel stays exactly zero through every layer: relu(0) + 0, σ(0)·tanh(0), 0/√2 + 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from fastsvc.kernels.tiles import power_of_two

MULTIPLE = 64


def padded(count: int) -> int:
    """The least multiple of 64 that is at least count."""
    return -(-count // MULTIPLE) * MULTIPLE


@dataclass(frozen=True)
class PackedDenoiser:
    """Weights of the compute type, biases and vectors in float32. C, H: padded; MEL: a power of two ≥ M."""

    mel_bins: int  # M, not padded
    first_weight: Tensor  # [MEL, C]
    first_bias: Tensor  # [C]
    first_shift: Tensor  # [levels, C]: d_0
    conv_weight: Tensor  # [L, 3C + H, 2C], rows X[t−δ], X[t+δ], X[t], cond[t]; gate and filter columns in turn
    conv_bias: Tensor  # [L, 2C]
    residual_weight: Tensor  # [L − 1, C, C]
    residual_shift: Tensor  # [levels, L − 1, C]: b − d_l/√2 + d_{l+1}
    skip_weight: Tensor  # [L·C, C]
    skip_bias: Tensor  # [C]
    head_weight: Tensor  # [C, MEL]
    head_bias: Tensor  # [MEL]
    units_weight: Tensor  # [U, H]
    vectors: Tensor  # [3 + R, H]: f0, loudness, voicing, then the R rows of the pulses' table, if there is one
    scale: Tensor  # [MEL]: mel = x·scale + offset
    offset: Tensor  # [MEL]

    @property
    def layers(self) -> int:
        return len(self.conv_weight)

    @property
    def channels(self) -> int:
        return self.skip_weight.shape[1]

    @property
    def hidden(self) -> int:
        return self.conv_weight.shape[1] - 3 * self.channels


def pack(tensors: dict[str, Tensor], low: Tensor, high: Tensor, dtype: torch.dtype, device="cpu") -> PackedDenoiser:
    """Lowered tensors on their device; low and high (1 or M numbers) span the normalised mel."""
    mel_bins, width = tensors["input.weight"].shape
    layers, hidden = len(tensors["conv.weight"]), len(tensors["condition.f0"])
    c, h, mel = padded(width), padded(hidden), power_of_two(mel_bins)

    def weight(tensor: Tensor, *shape: int) -> Tensor:
        return fit(tensor, *shape).to(device, dtype).contiguous()

    def vector(tensor: Tensor, *shape: int) -> Tensor:
        return fit(tensor, *shape).to(device, torch.float32).contiguous()

    conv, conv_bias = _gated(tensors, width, c, h)
    steps = tensors["steps.vectors"].double()
    shifts = tensors["residual.bias"].double() - steps[:, :-1] * math.sqrt(0.5) + steps[:, 1:]
    low, high = (t.double().expand(mel_bins) for t in (low, high))
    voiced = tensors.get("condition.voiced", torch.zeros(hidden))
    scaled = torch.stack([tensors["condition.f0"], tensors["condition.volume"], voiced])
    units = tensors["condition.units"]
    return PackedDenoiser(
        mel_bins=mel_bins,
        first_weight=weight(tensors["input.weight"], mel, c),
        first_bias=vector(tensors["input.bias"], c),
        first_shift=vector(steps[:, 0], len(steps), c),
        conv_weight=weight(conv, *conv.shape),
        conv_bias=vector(conv_bias, *conv_bias.shape),
        residual_weight=weight(tensors["residual.weight"], layers - 1, c, c),
        residual_shift=vector(shifts, len(steps), layers - 1, c),
        skip_weight=weight(fit(tensors["skip.weight"].view(layers, width, width), layers, c, c).view(-1, c), -1, c),
        skip_bias=vector(tensors["skip.bias"], c),
        head_weight=weight(tensors["output.weight"], c, mel),
        head_bias=vector(tensors["output.bias"], mel),
        units_weight=weight(units, padded(len(units)), h),
        vectors=vector(torch.cat([scaled, tensors.get("condition.pulses", scaled[:0])]), -1, h),
        scale=vector((high - low) / 2, mel),
        offset=vector((high + low) / 2, mel),
    )


def _gated(tensors: dict[str, Tensor], width: int, c: int, h: int) -> tuple[Tensor, Tensor]:
    """Weight [L, 3c + h, 2c] and bias [L, 2c] of the gated convolutions, in the order that the kernel reads."""
    weight, bias = tensors["conv.weight"].float(), tensors["conv.bias"].float()
    layers, depth, _ = weight.shape
    before, middle, after, cond = weight.split([width, width, width, depth - 3 * width], dim=1)
    parts = [(before, c), (after, c), (middle, c), (cond, h)]
    rows = [fit(p.unflatten(-1, (2, width)), layers, rows, 2, c) for p, rows in parts]
    alternating = torch.cat(rows, dim=1).transpose(-1, -2).flatten(-2)
    return alternating, fit(bias.unflatten(-1, (2, width)), layers, 2, c).transpose(-1, -2).flatten(-2)


def fit(tensor: Tensor, *shape: int) -> Tensor:
    """The tensor padded with zeros at the end of every dimension, up to ``shape`` (−1: unchanged)."""
    missing = [0 if target < 0 else target - size for target, size in zip(shape, tensor.shape)]
    return pad(tensor, [amount for extra in reversed(missing) for amount in (0, extra)])
