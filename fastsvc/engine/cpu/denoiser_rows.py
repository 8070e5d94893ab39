"""The lowered denoiser over some rows of a window, with its layers' final rows from the block before.

Of few rows, each layer's weights take longer to read than to multiply by. So the gated convolution here is one matrix
product with the weights as they are stored, half as many bytes as the filters of denoiser.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsvc.artifact.lowered import TAPS
from fastsvc.engine.cpu.denoiser import CpuDenoiser
from fastsvc.engine.cpu.rows import Kept, Rows


@dataclass(frozen=True)
class Evaluation:
    """Final rows of one evaluation: its x, each layer's input, and the sum of skips before each layer."""

    x: Kept
    states: list[Kept]
    skips: list[Kept]


class RowsDenoiser:
    """D(x, σ, cond) for the rows that a block computes; constants and precision are those of ``net``."""

    def __init__(self, net: CpuDenoiser):
        self.net, self.reaches = net, list(net.reaches)
        self.weight, self.bias = net.conv

    def __call__(
        self, x: Tensor, sigma: float, cond: Tensor, rows: Rows, index: int, kept: Evaluation | None
    ) -> tuple[Tensor, Evaluation]:
        """x [T, M] and cond [T, H], whose row 0 is rows.begin → (D [T, M], zeros but for the output rows of evaluation
        ``index``; what the next block is to be given as ``kept``). Kept rows are filled into x."""
        net, place, origin = self.net, index * len(self.reaches), rows.begin
        step, out = net.level(sigma), rows.computed(place + len(self.reaches))
        first, last = rows.computed(place)
        x_kept = _refilled(x, origin, first, out[0], rows.final(place), kept and kept.x)
        state = State(x.new_zeros(len(x) + 2 * net.pad, net.width), origin - net.pad)
        entered = state.rows(first, last)
        torch.addmm(net.input[1], x[first - origin : last - origin], net.input[0], alpha=step.c_in, out=entered)
        entered.relu_().add_(step.vectors[0])
        skips = State(net.skip[1].repeat(out[1] - out[0], 1), out[0])
        states, sums = [], []
        for layer, reach in enumerate(self.reaches):
            old, final, (first, last) = (
                rows.starts[place + layer],
                rows.final(place + layer),
                rows.computed(place + layer + 1),
            )
            read, own = max(first - reach.past, 0), (max(first, out[0]), min(last, out[1]))
            if kept is not None:
                kept.states[layer].fill(state.buffer, state.begin, read, old)
                kept.skips[layer].fill(skips.buffer, out[0], own[0], min(old, own[1]))
            states.append(Kept.of(state.rows(read, rows.ends[place + layer]), read, final, sum(reach)))
            sums.append(Kept.of(skips.rows(*own), own[0], final, sum(reach)))
            z = self._gated(layer, state, cond[first - origin : last - origin], first)
            _add_product(skips.rows(*own), z[own[0] - first : own[1] - first], net.skip[0][layer])
            if layer + 1 < len(self.reaches):
                _add_product(state.rows(first, last), z, net.residual[layer], math.sqrt(0.5)).add_(step.shifts[layer])
        result, own = torch.zeros_like(x), slice(out[0] - origin, out[1] - origin)
        torch.addmm(
            x[own], skips.buffer.relu_(), net.output[0], beta=step.c_skip, alpha=step.c_out, out=result[own]
        ).add_(net.output[1], alpha=step.c_out)
        return result, Evaluation(x_kept, states, sums)

    def _gated(self, layer: int, state: State, cond: Tensor, first: int) -> Tensor:
        """σ(gate)·tanh(filter) of the rows from ``first`` on, as many as cond has."""
        width, count, reach = self.net.width, len(cond), self.reaches[layer]
        taken = state.rows(first - reach.past, first + count + reach.ahead)
        strides = width, self.net.dilations[layer] * width, 1
        taken = taken.as_strided((count, TAPS, width), strides, taken.storage_offset())
        operand = torch.empty(count, TAPS * width + cond.shape[1], dtype=self.weight.dtype)
        operand[:, : TAPS * width].view(count, TAPS, width).copy_(taken)
        operand[:, TAPS * width :] = cond
        gate, filter_ = torch.addmm(self.bias[layer], operand, self.weight[layer]).float().chunk(2, dim=1)
        return torch.sigmoid(gate).mul_(filter_.tanh()).to(self.weight.dtype)


@dataclass(frozen=True)
class State:
    """A buffer whose row 0 is the row ``begin``."""

    buffer: Tensor
    begin: int

    def rows(self, first: int, last: int) -> Tensor:
        return self.buffer[first - self.begin : last - self.begin]


def _refilled(x: Tensor, origin: int, first: int, out_first: int, final: int, kept: Kept | None) -> Kept:
    """Fills into x the final rows before ``first`` that the output needs; the same rows for the next block."""
    if kept is not None:
        kept.fill(x, origin, out_first, first)
    return Kept(out_first, x[out_first - origin : max(final, out_first) - origin].clone())


def _add_product(total: Tensor, z: Tensor, weight: Tensor, share: float = 1.0) -> Tensor:
    """share · total + z @ weight, in place; of z in bfloat16 the product is rounded to it."""
    if z.dtype == total.dtype:
        return total.addmm_(z, weight, beta=share)
    return total.mul_(share).add_(z @ weight)
