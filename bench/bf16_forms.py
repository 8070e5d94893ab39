"""Forms of the bfloat16 denoiser that were tried, for `bench.bf16`; the engine has the fastest."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from fastsvc.artifact.lowered import TAPS
from fastsvc.engine.cpu.denoiser import CpuDenoiser, filter_first
from fastsvc.engine.cpu.denoiser_bf16 import Bf16Denoiser, Bf16Operand
from fastsvc.features.packed import PackedLinear


class Stored(Bf16Denoiser):
    """Weights as they are stored, arranged by oneDNN in each call; the gate in float32: the form until now."""

    def _pack_filters(self, weights: dict[str, Tensor]) -> None:
        self.filters, self.filter_bias = (part.bfloat16() for part in filter_first(weights, self.width))

    def _gated_conv(self, layer: int, dilation: int, padded: Tensor, prepared: Bf16Operand, gated: Tensor) -> None:
        operand, width = prepared.rows, self.width
        frames = len(operand)
        for tap in range(TAPS):
            start = self.pad + (tap - 1) * dilation
            operand[:, tap * width : (tap + 1) * width].copy_(padded[start : start + frames])
        y = self._buffer("y", frames, 2 * width)
        y.copy_(torch.addmm(self.filter_bias[layer], operand, self.filters[layer]))[:, :width].tanh_()
        gated[:frames].copy_(torch.ops.aten.glu.out(y, -1, out=self._buffer("z", frames, width)))

    def _skip(self, layer: int, z: Tensor, skips: Tensor) -> None:
        product = z @ self.skip[0][layer]
        torch.add(product, self.skip[1], out=skips) if layer == 0 else skips.add_(product)

    def _residual(self, layer: int, z: Tensor, state: Tensor) -> Tensor:
        return state.mul_(0.5**0.5).add_(z @ self.residual[layer])


class Shifted(Bf16Denoiser):
    """Three accumulating products on views of the state in bfloat16 that lie δ rows apart, and one on the condition."""

    def _pack_filters(self, weights: dict[str, Tensor]) -> None:
        filters, bias = filter_first(weights, self.width)
        edges = [tap * self.width for tap in range(TAPS + 1)]
        self.by_tap = [
            [PackedLinear(filters[layer, first:last].T) for first, last in itertools.pairwise(edges)]
            for layer in range(self.layers)
        ]
        self.of_condition = [PackedLinear(filters[layer, edges[-1] :].T, bias[layer]) for layer in range(self.layers)]

    def _gated_conv(self, layer: int, dilation: int, padded: Tensor, prepared: Bf16Operand, gated: Tensor) -> None:
        width, frames = self.width, len(prepared.rows)
        state = padded[: frames + 2 * self.pad].bfloat16()
        y = self.of_condition[layer](prepared.rows[:, TAPS * width :].contiguous())
        for tap, product in enumerate(self.by_tap[layer]):
            start = self.pad + (tap - 1) * dilation
            y = product.ops._linear_pointwise.binary(state[start : start + frames], y, product.packed, None, "add")
        y[:, :width].tanh_()
        torch.ops.aten.glu.out(y, -1, out=gated[:frames])


class Halves(Bf16Denoiser):
    """Filter and gate as two products, their functions within oneDNN's; the engine's has one, and two passes more."""

    def _pack_filters(self, weights: dict[str, Tensor]) -> None:
        filters, bias = filter_first(weights, self.width)
        halves = [(slice(0, self.width), "tanh"), (slice(self.width, None), "sigmoid")]
        self.halves = [
            [(PackedLinear(filters[layer][:, half].T, bias[layer][half]), function) for half, function in halves]
            for layer in range(self.layers)
        ]

    def _gated_conv(self, layer: int, dilation: int, padded: Tensor, prepared: Bf16Operand, gated: Tensor) -> None:
        operand, width = prepared.rows, self.width
        frames = len(operand)
        for tap in range(TAPS):
            start = self.pad + (tap - 1) * dilation
            operand[:, tap * width : (tap + 1) * width].copy_(padded[start : start + frames])
        parts = (
            one.ops._linear_pointwise(operand, one.packed, one.bias, function, [], "")
            for one, function in self.halves[layer]
        )
        torch.mul(*parts, out=gated[:frames])


FORMS = {
    "weights as stored, gate in float32": Stored,
    "three accumulating products on shifted rows": Shifted,
    "filter and gate as two products": Halves,
    "the engine's": Bf16Denoiser,
}
__all__ = ["FORMS", "Bf16Denoiser", "CpuDenoiser"]
