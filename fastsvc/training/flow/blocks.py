"""The blocks of DDSP-SVC 6 for training: the specification's weights, channels last, and a quicker depthwise filter.

On a CPU, PyTorch's depthwise convolution of 31 taps takes most of a step: it is slow over input that it must pad, and
its own gradients are slower still. Here the input is padded first, its gradient is the same convolution with the taps
turned around, and the taps' gradient sums the diagonals of one matrix product per channel.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config.ddsp import KERNEL

REACH = KERNEL // 2


class Depthwise(torch.autograd.Function):
    """x [B, C, T] ∗ taps [C, 1, 31] + bias [C], zeros beyond both ends → [B, C, T]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
        padded = F.pad(x.float(), (REACH, REACH))
        ctx.save_for_backward(padded, taps)
        with torch.autocast(x.device.type, enabled=False):  # its transposed copies in bf16 cost more than they save
            return F.conv1d(padded, taps, bias, groups=len(taps))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (grad,), (padded, taps) = grads, ctx.saved_tensors
        to_x = (
            F.conv1d(F.pad(grad, (REACH, REACH)), taps.flip(2), groups=len(taps)) if ctx.needs_input_grad[0] else None
        )
        if not ctx.needs_input_grad[1]:
            return to_x, None, None
        frames = grad.shape[2]
        products = torch.bmm(padded.permute(1, 2, 0), grad.transpose(0, 1))  # [C, T + 30, T]
        diagonals = products.as_strided(
            (len(taps), KERNEL, frames), ((frames + KERNEL - 1) * frames, frames, frames + 1)
        )
        return to_x, diagonals.sum(2)[:, None], grad.sum((0, 2))


def depthwise(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """``conv(x)`` [B, C, T]; on a GPU by PyTorch's own convolution."""
    return conv(x) if x.is_cuda else Depthwise.apply(x, conv.weight, conv.bias)


def pointwise(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution of one tap over [B, T, C]."""
    return F.linear(x, conv.weight[:, :, 0], conv.bias)


def block(net: nn.Sequential, x: Tensor, inside: Tensor | None = None) -> Tensor:
    """``net(x)`` of fastsvc.model.ddsp.blocks.block, [B, T, C] → [B, T, C]; ``inside`` [B, T, 1]: 0 in the padding."""
    norm, _, widen, gate, taps, curve, narrow, _ = net
    wide = pointwise(widen, norm(x))
    value, lid = wide.chunk(2, dim=-1)
    gated = value * gate.curve(lid)
    gated = gated if inside is None else torch.where(inside > 0, gated, 0)
    return pointwise(narrow, curve(depthwise(taps, gated.transpose(1, 2))).transpose(1, 2))
