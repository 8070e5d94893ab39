"""The generator for some frames of a short window: each convolution computes only the rows that they depend on.

Of a window with its halos that is less than half of the arithmetic, because most of the halo is read by the first stage
alone. Rows are samples at a stage's rate, counted from the window's start; spans are (first, last + 1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.model.vocoder import LAST_SLOPE, SLOPE

Span = tuple[int, int]


def kept_audio(generator, mel: Tensor, source: Tensor | None, added: Tensor | None, keep: Span) -> Tensor:
    """Audio [B, (keep[1] − keep[0]) · hop]; arguments as those of fastsvc.engine.cpu.vocoder.Vocoder, source and mel
    as [B, C, 1, T] in channels-last memory."""
    sizes = [mel.shape[-1]]
    for stage in generator.stages:
        sizes.append(sizes[-1] * stage.up_stride[1])
    hop = sizes[-1] // sizes[0]
    wanted = keep[0] * hop, keep[1] * hop
    spans = [_read(generator.post, wanted, sizes[-1])]  # of each stage's output, and of conv_pre's
    for stage, size in zip(reversed(generator.stages), reversed(sizes[:-1])):
        spans.append(_entering(stage, spans[-1], size))
    spans.reverse()
    x = _conv(generator.pre, mel, 0, spans[0], sizes[0])
    if added is not None:
        row = added if added.shape[-1] == 1 else added[..., spans[0][0] : spans[0][1]]
        x.add_(row, alpha=generator.config.added_gain)
    for stage, own, wanted_rows, size in zip(generator.stages, spans, spans[1:], sizes[1:]):
        x = _stage(stage, x, own, source, wanted_rows, size)
    x = F.leaky_relu_(x, LAST_SLOPE).float()
    return torch.tanh(_conv(generator.post, x, spans[-1][0], wanted, sizes[-1]))[:, 0, 0]


def _around(span: Span, reach: int, size: int) -> Span:
    return max(0, span[0] - reach), min(size, span[1] + reach)


def _read(conv, span: Span, size: int) -> Span:
    """The rows that a convolution reads for ``span``."""
    return _around(span, conv.padding[1], size)


def _entering(stage, span: Span, size: int) -> Span:
    """Rows of a stage's input, of ``size`` rows, for those of its output in ``span``."""
    rate, padding, kernel = stage.up_stride[1], stage.up_padding[1], stage.up[0].shape[-1]
    first, last = _around(span, stage.reach, size * rate)
    return max(0, -(-(first + padding - kernel + 1) // rate)), min(size, (last - 1 + padding) // rate + 1)


def _conv(conv, x: Tensor, begin: int, span: Span, size: int) -> Tensor:
    """Rows ``span`` of a convolution over x, whose row 0 is ``begin``; beyond 0 and ``size`` there are zeros."""
    reach = conv.padding[1]
    first, last = span[0] - reach, span[1] + reach
    x = x[..., max(first, 0) - begin : min(last, size) - begin]
    if first < 0 or last > size:
        x = F.pad(x, (max(-first, 0), max(last - size, 0)))
    return F.conv2d(x, conv.weight, conv.bias, dilation=conv.dilation)


def _stage(stage, x: Tensor, own: Span, source: Tensor | None, wanted: Span, size: int) -> Tensor:
    """Rows ``wanted`` of a stage's output; x has the rows ``own`` of its input."""
    rate, padding = stage.up_stride[1], stage.up_padding[1]
    inner = _around(wanted, stage.reach, size)
    x = F.conv_transpose2d(F.leaky_relu_(x, SLOPE), *stage.up, stride=stage.up_stride)
    begin = own[0] * rate - padding
    x = x[..., inner[0] - begin : inner[1] - begin]
    if stage.branch is not None:
        assert source is not None, "this vocoder takes an excitation"
        x.add_(_branch(stage, source, inner))
    pieces = range(wanted[0], wanted[1], stage.stretch(x))
    parts = [_blocks(stage, x, inner[0], (first, min(first + pieces.step, wanted[1])), size) for first in pieces]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=3)


def _branch(stage, source: Tensor, span: Span) -> Tensor:
    """The excitation at a stage's rate."""
    stride, padding, kernel = stage.branch_stride[1], stage.branch_padding[1], stage.branch[0].shape[-1]
    first, last = span[0] * stride - padding, (span[1] - 1) * stride - padding + kernel
    size = source.shape[-1]
    part = source[..., max(first, 0) : min(last, size)]
    if first < 0 or last > size:
        part = F.pad(part, (max(-first, 0), max(last - size, 0)))
    return stage.excitation(part, *stage.branch, padding=0)


def _blocks(stage, x: Tensor, begin: int, span: Span, size: int) -> Tensor:
    """Rows ``span`` of the mean of the residual blocks over x, whose row 0 is ``begin``."""
    total = None
    for block in stage.blocks:
        convs = [conv for unit in block for conv in unit]
        own = _around(span, sum(conv.padding[1] for conv in convs), size)
        y = x[..., own[0] - begin : own[1] - begin]
        left = sum(conv.padding[1] for conv in convs)
        for unit in block:
            inside, place = F.leaky_relu(y, SLOPE), own[0]
            for i, conv in enumerate(unit):
                left -= conv.padding[1]
                rows = _around(span, left, size)
                inside, place = _conv(conv, inside if i == 0 else F.leaky_relu_(inside, SLOPE), place, rows, size), rows[0]
            y, own = inside.add_(y[..., rows[0] - own[0] : rows[1] - own[0]]), rows
        total = y if total is None else total.add_(y)
    assert total is not None, "a stage has blocks"
    return total.div_(len(stage.blocks))
