"""The generator for some frames of a short window: each convolution computes only the rows that they depend on.

Of a window with its halos that is a third of the arithmetic, because most of the halo is read by the first stage alone.
Rows [T, C] are samples at a stage's rate, counted from the window's start; spans are (first, last + 1). A convolution
is one matrix product for each tap, over rows that lie further on: of few rows the library's own takes two to three
times as long, much of it for arranging weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.model.vocoder import LAST_SLOPE, SLOPE

Span = tuple[int, int]


def kept_audio(generator, mel: Tensor, source: Tensor | None, added: Tensor | None, keep: Span) -> Tensor:
    """mel [T, M], source [samples], added [T, C] or [1, C] → audio of the frames keep[0] … keep[1] − 1.

    ``generator``: a fastsvc.engine.cpu.vocoder.Vocoder.
    """
    sizes = [len(mel)]
    for stage in generator.stages:
        sizes.append(sizes[-1] * stage.up_stride[1])
    hop = sizes[-1] // sizes[0]
    wanted = keep[0] * hop, keep[1] * hop
    spans = [_around(wanted, generator.post.padding[1], sizes[-1])]  # of the stages' outputs, and of conv_pre's
    for stage, size in zip(reversed(generator.stages), reversed(sizes[:-1])):
        spans.append(_entering(stage, spans[-1], size))
    spans.reverse()
    x = _conv(generator.pre, mel, 0, spans[0], sizes[0])
    if added is not None:
        x.add_(added if len(added) == 1 else added[slice(*spans[0])], alpha=generator.config.added_gain)
    for stage, own, wanted_rows, size in zip(generator.stages, spans, spans[1:], sizes[1:]):
        x = _stage(stage, x, own, source, wanted_rows, size)
    x = F.leaky_relu_(x, LAST_SLOPE).float()
    return torch.tanh(_conv(generator.post, x, spans[-1][0], wanted, sizes[-1]))[:, 0]


def _around(span: Span, reach: int, size: int) -> Span:
    return max(0, span[0] - reach), min(size, span[1] + reach)


def _entering(stage, span: Span, size: int) -> Span:
    """Rows of a stage's input, of ``size`` rows, for those of its output in ``span``."""
    rate, padding, kernel = stage.up_stride[1], stage.up_padding[1], stage.up[0].shape[-1]
    first, last = _around(span, stage.reach, size * rate)
    return max(0, -(-(first + padding - kernel + 1) // rate)), min(size, (last - 1 + padding) // rate + 1)


def _conv(conv, x: Tensor, begin: int, span: Span, size: int) -> Tensor:
    """Rows ``span`` of a convolution over x, whose row 0 is ``begin``; beyond 0 and ``size`` there are zeros."""
    weight, reach, rows = conv.weight, conv.padding[1], span[1] - span[0]
    first, last = span[0] - reach, span[1] + reach
    x = x[max(first, 0) - begin : min(last, size) - begin]
    if first < 0 or last > size:
        x = F.pad(x, (0, 0, max(-first, 0), max(last - size, 0)))
    if x.dtype != torch.float32:  # a sum over taps would be rounded at each
        return F.conv1d(x.T[None], weight[:, :, 0], conv.bias, dilation=conv.dilation[1])[0].T.contiguous()
    y = torch.addmm(conv.bias, x[:rows], weight[:, :, 0, 0].T)
    for tap in range(1, weight.shape[-1]):
        place = tap * conv.dilation[1]
        y.addmm_(x[place : place + rows], weight[:, :, 0, tap].T)
    return y


def _stage(stage, x: Tensor, own: Span, source: Tensor | None, wanted: Span, size: int) -> Tensor:
    """Rows ``wanted`` of a stage's output; x has the rows ``own`` of its input."""
    inner = _around(wanted, stage.reach, size)
    begin = own[0] * stage.up_stride[1] - stage.up_padding[1]
    x = _upsampled(stage, F.leaky_relu_(x, SLOPE))[inner[0] - begin : inner[1] - begin]
    if stage.branch is not None:
        assert source is not None, "this vocoder takes an excitation"
        x.add_(_branch(stage, source, inner))
    total = None
    for block in stage.blocks:
        y = _block(block, x, inner[0], wanted, size)
        total = y if total is None else total.add_(y)
    assert total is not None, "a stage has blocks"
    return total.div_(len(stage.blocks))


def _upsampled(stage, x: Tensor) -> Tensor:
    """The transposed convolution of x [n, I], without cutting its ends: [(n − 1) · rate + kernel or more, O]."""
    weight, bias = stage.up
    rate, (inputs, outputs, _, kernel) = stage.up_stride[1], weight.shape
    made = (x @ weight.permute(0, 2, 3, 1).reshape(inputs, kernel * outputs)).view(len(x), kernel, outputs)
    pieces = -(-kernel // rate)
    total = bias.repeat(len(x) + pieces - 1, rate, 1)
    for piece in range(pieces):
        part = made[:, piece * rate : (piece + 1) * rate]
        total[piece : piece + len(x), : part.shape[1]] += part
    return total.flatten(0, 1)


def _branch(stage, source: Tensor, span: Span) -> Tensor:
    """The excitation at a stage's rate, [rows, C]."""
    stride, padding, kernel = stage.branch_stride[1], stage.branch_padding[1], stage.branch[0].shape[-1]
    first, last = span[0] * stride - padding, (span[1] - 1) * stride - padding + kernel
    part = source[max(first, 0) : last]
    part = F.pad(part, (max(-first, 0), last - max(first, 0) - len(part)))
    weight, bias = stage.branch
    branch = torch.addmm(bias, part.unfold(0, kernel, stride), weight.flatten(1).T)
    return F.layer_norm(F.relu_(branch), branch.shape[1:]) if stage.layer_norm else branch


def _block(block, x: Tensor, begin: int, span: Span, size: int) -> Tensor:
    """Rows ``span`` of a residual block over x, whose row 0 is ``begin``."""
    left = sum(conv.padding[1] for unit in block for conv in unit)
    own = _around(span, left, size)
    y = x[own[0] - begin : own[1] - begin]
    for unit in block:
        inside, place = y, own[0]
        for conv in unit:
            left -= conv.padding[1]
            rows = _around(span, left, size)
            inside, place = _conv(conv, F.leaky_relu(inside, SLOPE), place, rows, size), rows[0]
        y, own = inside.add_(y[rows[0] - own[0] : rows[1] - own[0]]), rows
    return y
