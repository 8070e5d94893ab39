"""The lowered denoiser with bfloat16 matrix products, for processors that have units for them (AMX, AVX-512 BF16).

The state, the skip sum and both ends stay float32; operands and weights of the three large products are rounded, and
so are their outputs and the gate. On such processors products are so fast that Winograd's additions and its rounding
no longer pay: taps and condition are copied side by side and make one product, K = 3C + H, of ROWS rows at a time,
whose operand and output stay in the cache. Three accumulating products on shifted rows, in place of the copy, would
write and read the outputs three times more and round them at each; bench/bf16.py compares such forms.
"""

from __future__ import annotations

import math
import os
import warnings

import torch
from torch import Tensor

from fastsvc import machine
from fastsvc.artifact.lowered import TAPS
from fastsvc.engine.cpu.denoiser import CpuDenoiser, filter_first
from fastsvc.features.packed import ROWS, PackedLinear

ROUNDED = ("conv.weight", "residual.weight", "skip.weight")  # stored in bfloat16 by engines of this precision
UNITS = {"amx_bf16", "avx512_bf16", "bf16"}  # the last one is ARM's
CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # environment variables that oneDNN reads
WITHOUT_UNITS = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
NO_UNITS = "this processor has no bfloat16 units: the engine computes in float32, slower"


def supported() -> bool:
    """Whether this processor has units for bfloat16 matrices, and the environment lets oneDNN use them."""
    capped = {os.environ.get(name, "").upper() for name in CAPS} & WITHOUT_UNITS
    return not capped and bool(UNITS & set(machine.cpu_flags()))


def denoiser_for(precision: str) -> type[CpuDenoiser]:
    """The denoiser for an engine's precision; float32, with a warning, on processors without bfloat16 units."""
    if precision != "bf16":
        return CpuDenoiser
    if not supported():
        warnings.warn(NO_UNITS, stacklevel=2)
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
        self.skips = [PackedLinear(weight.T) for weight in self.skip[0]]
        self.residuals = [PackedLinear(weight.T) for weight in self.residual]
        self.skip = self.skip[0].bfloat16(), self.skip[1]  # as they are, for denoiser_rows.py
        self.residual = self.residual.bfloat16()

    def prepare(self, cond: Tensor, evaluations: int = 1) -> Bf16Operand:
        return Bf16Operand(cond, self.width)

    def _pack_filters(self, weights: dict[str, Tensor]) -> None:
        self.convs = [PackedLinear(weight.T, bias) for weight, bias in zip(*filter_first(weights, self.width))]

    def _gated_conv(self, layer: int, dilation: int, padded: Tensor, prepared: Bf16Operand, gated: Tensor) -> None:
        operand, width = prepared.rows, self.width
        for first in range(0, len(operand), ROWS):
            rows = operand[first : first + ROWS]
            for tap in range(TAPS):
                start = first + self.pad - self.reaches[layer].past + tap * dilation
                rows[:, tap * width : (tap + 1) * width].copy_(padded[start : start + len(rows)])
            y = self.convs[layer](rows)
            y[:, :width].tanh_()
            torch.ops.aten.glu.out(y, -1, out=gated[first : first + len(rows)])

    def _skip(self, layer: int, z: Tensor, skips: Tensor) -> None:
        product = self.skips[layer](z)
        if layer == 0:
            torch.add(product, self.skip[1], out=skips)
        else:
            skips.add_(product)

    def _residual(self, layer: int, z: Tensor, state: Tensor) -> Tensor:
        return state.mul_(math.sqrt(0.5)).add_(self.residuals[layer](z))
