"""The lowered denoiser with bfloat16 matrix products, for processors that have units for them (AMX, AVX-512 BF16).

The state, the skip sum, the gates and both ends stay float32; operands and weights of the three large products are
rounded. On such processors products are so fast that Winograd's additions and its rounding no longer pay: taps and
condition are copied side by side and make one product, K = 3C + H.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from fastsvc import machine
from fastsvc.artifact.lowered import TAPS
from fastsvc.engine.cpu.denoiser import CpuDenoiser, filter_first

ROUNDED = ("conv.weight", "residual.weight", "skip.weight")  # stored in bfloat16 by engines of this precision
UNITS = {"amx_bf16", "avx512_bf16"}


def supported() -> bool:
    """Whether this processor multiplies bfloat16 matrices faster than float32 ones."""
    return bool(UNITS & set(machine.cpu_flags()))


def denoiser_for(precision: str) -> type[CpuDenoiser]:
    """The denoiser for an engine's precision; float32, with a warning, on processors without bfloat16 units."""
    if precision != "bf16":
        return CpuDenoiser
    if not supported():
        warnings.warn("this processor has no bfloat16 units: the engine computes in float32, slower", stacklevel=2)
        return CpuDenoiser
    return Bf16Denoiser


class Bf16Operand:
    """[T, 3C + H] in bfloat16; the condition's columns are filled once for all layers and evaluations."""

    def __init__(self, cond: Tensor, width: int):
        self.rows = torch.empty(len(cond), TAPS * width + cond.shape[1], dtype=torch.bfloat16)
        self.rows[:, TAPS * width :] = cond


class Bf16Denoiser(CpuDenoiser):
    """D(x, σ, cond) as :class:`CpuDenoiser` computes it, with the large products in bfloat16."""

    gated_type = torch.bfloat16

    def __init__(self, tensors, config, levels):
        super().__init__(tensors, config, levels)
        self.skip = self.skip[0].bfloat16(), self.skip[1]
        self.residual = self.residual.bfloat16()

    def prepare(self, cond: Tensor, evaluations: int = 1) -> Bf16Operand:
        return Bf16Operand(cond, self.width)

    def _pack_filters(self, weights: dict[str, Tensor]) -> None:
        self.filters, self.filter_bias = (part.bfloat16() for part in filter_first(weights, self.width))

    def _gated_conv(self, layer: int, dilation: int, padded: Tensor, prepared: Bf16Operand, gated: Tensor) -> None:
        operand, width = prepared.rows, self.width
        frames = len(operand)
        for tap in range(TAPS):
            start = self.pad - self.reaches[layer].past + tap * dilation
            operand[:, tap * width : (tap + 1) * width].copy_(padded[start : start + frames])
        product = self._buffer("product", frames, 2 * width, torch.bfloat16)
        torch.addmm(self.filter_bias[layer], operand, self.filters[layer], out=product)
        y = self._buffer("y", frames, 2 * width)
        y.copy_(product)[:, :width].tanh_()
        gated[:frames].copy_(torch.ops.aten.glu.out(y, -1, out=self._buffer("z", frames, width)))

    def _skip(self, layer: int, z: Tensor, skips: Tensor) -> None:
        product = self._product(z, self.skip[0][layer])
        if layer == 0:
            torch.add(product, self.skip[1], out=skips)
        else:
            skips.add_(product)

    def _residual(self, layer: int, z: Tensor, state: Tensor) -> Tensor:
        return state.mul_(math.sqrt(0.5)).add_(self._product(z, self.residual[layer]))

    def _product(self, z: Tensor, weight: Tensor) -> Tensor:
        return torch.mm(z, weight, out=self._buffer("half", len(z), self.width, torch.bfloat16))
