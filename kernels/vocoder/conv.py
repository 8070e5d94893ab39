"""A convolution over time that keeps the length: leaky ReLU, dilated taps as one matrix product, and its epilogue.

    v = conv(leaky(x)) + bias,   out = leaky(v),   or with a residual   out = (out + v + gain·residual)·scale

where out on the right is read only to add to a sum over residual blocks, and scale divides the last sum. Row t of the
operand is [x[t − reach·δ], …, x[t + reach·δ]] and never exists in memory: each step along K is a row offset into x.
All taps of some channels come before the next channels, so a row is read once from the L2 cache and then from the
multiprocessor's own cache. Rows outside the input are zeros.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, pad

from fastsvc.kernels import tiles
from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.launch import Launch, check_aligned
from fastsvc.kernels.vocoder.activation import leaky

# Rows and columns of blocks, by the bytes of an element: from short inputs to those that fill a device.
BLOCKS = {2: ((32, 32), (32, 64), (64, 64), (128, 128)), 4: ((32, 32), (32, 64), (64, 64), (64, 128))}
# With these, two blocks of 128 × 128 share a multiprocessor of sm_90: one multiplies while the other loads. With a
# residual the epilogue would spill (32 bytes without the sum, 370 with it), with steps of 64 any would (16 bytes).
PAIRED_DEPTH, PAIRED_REGISTERS = 32, 128


def reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    dilation: int = 1,
    slope: float = 1.0,
    out_slope: float = 1.0,
    residual: Tensor | None = None,
    gain: float = 1.0,
    before: Tensor | None = None,
    scale: float = 1.0,
) -> Tensor:
    """x [B, T, C or less], weight [taps, C, C'], bias [C'], residual and before (a sum so far) [B, T, C'] → out
    [B, T, C']."""
    frames, (taps, width, _) = x.shape[1], weight.shape
    reach = taps // 2 * dilation
    x = leaky_relu(pad(x.to(weight.dtype), (0, width - x.shape[2], reach, reach)), slope)
    value = sum(x[:, i * dilation : i * dilation + frames] @ weight[i] for i in range(taps)) + bias
    value = leaky_relu(value, out_slope)
    if residual is not None:
        value = value + gain * pad(residual, (0, value.shape[2] - residual.shape[2]))
    return (value if before is None else before + value) * scale


@jit(do_not_specialize=["frames", "dilation", "keep"])
def conv_kernel(
    x,
    weight,
    bias,
    residual,
    out,
    frames,
    dilation,
    keep,
    out_slope,
    gain,
    scale,
    X_STRIDE: tl.constexpr,  # columns of x; those at or beyond it are zeros
    C: tl.constexpr,  # rows of weight for one tap
    OUT: tl.constexpr,
    TAPS: tl.constexpr,
    SLOPE: tl.constexpr,
    RESIDUAL: tl.constexpr,  # columns of residual, 0: none
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    TILES: tl.constexpr = OUT // COLUMNS
    batch = tl.program_id(1).to(tl.int64)
    t = tl.program_id(0) // TILES * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(0) % TILES * COLUMNS + tl.arange(0, COLUMNS)
    k = tl.arange(0, DEPTH)
    rows = x + batch * frames * X_STRIDE + t[:, None] * X_STRIDE + k[None, :]
    weights = weight + k[:, None] * OUT + column[None, :]
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(TAPS * C // DEPTH):
        part, tap = step // TAPS, step % TAPS
        shift = (tap - TAPS // 2) * dilation
        row = t + shift
        mask = ((row >= 0) & (row < frames))[:, None]
        if X_STRIDE < C:
            mask = mask & (part * DEPTH + k < X_STRIDE)[None, :]
        a = tl.load(rows + (shift * X_STRIDE + part * DEPTH), mask=mask, other=0.0, cache_modifier=".ca")
        w = tl.load(weights + (tap * C + part * DEPTH) * OUT)
        sums = tl.dot(leaky(a, SLOPE).to(weight.dtype.element_ty), w, sums, input_precision=PRECISION)
    value = sums + tl.load(bias + column)[None, :]
    value = tl.where(value > 0, value, value * out_slope)
    inside = (t < frames)[:, None]
    element = batch * frames * OUT + t[:, None] * OUT + column[None, :]
    if RESIDUAL == OUT:
        value += gain * tl.load(residual + element, mask=inside, other=0.0).to(tl.float32)
    elif RESIDUAL > 0:
        residual_element = batch * frames * RESIDUAL + t[:, None] * RESIDUAL + column[None, :]
        mask = inside & (column < RESIDUAL)[None, :]
        value += gain * tl.load(residual + residual_element, mask=mask, other=0.0).to(tl.float32)
    summed_rows = tl.where(keep != 0, frames, 0)
    value += tl.load(out + element, mask=(t < summed_rows)[:, None], other=0.0).to(tl.float32)
    tl.store(out + element, (value * scale).to(out.dtype.element_ty), mask=inside)


def tile(
    rows: int, depth: int, columns: int, taps: int, dtype: torch.dtype, arch: int, residual: bool = True
) -> tiles.Tile:
    """Blocks for ``rows`` in all sequences together, ``depth`` input channels of one tap and ``columns`` out;
    ``residual``: whether the epilogue may read a residual or a sum."""
    block = choose(rows, depth, columns, taps, dtype, arch, 128)
    large = dtype.itemsize == 2 and (block.rows, block.columns, block.warps) == (128, 128, 8)
    if large and not residual and tiles.architecture(arch) == 90 and depth % PAIRED_DEPTH == 0:
        return replace(block, depth=PAIRED_DEPTH, registers=PAIRED_REGISTERS)
    return block


def choose(
    rows: int, depth: int, columns: int, taps: int, dtype: torch.dtype, arch: int, widest: int, times: int = 1
) -> tiles.Tile:
    """The cheapest of :data:`BLOCKS`, cut to ``widest`` columns and to a divisor of ``columns``; ``times`` as many
    columns are computed in all. There are few blocks, so that few kernels serve all lengths."""
    width, widest = dtype.itemsize, min(widest, columns & -columns)
    sizes = [(height, min(breadth, widest)) for height, breadth in BLOCKS[width]]
    blocks = [tiles.sized(*size, width, arch) for size in dict.fromkeys(sizes)]
    step = next(n for n in (64, 32, 16) if depth % n == 0 and n * width <= 128)
    product = rows, columns * times, taps * depth, width, arch
    fitting = (replace(t, depth=step) for t in blocks if t is not None)
    return min(fitting, key=lambda t: tiles.cost(t, *product, fresh=1 / taps))


def launch(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    out: Tensor,
    block: tiles.Tile,
    dilation: int = 1,
    slope: float = 1.0,
    out_slope: float = 1.0,
    residual: Tensor | None = None,
    gain: float = 1.0,
    keep: bool = False,
    scale: float = 1.0,
    precision: str = "tf32x3",
) -> Launch:
    """x of any floating type [B, T, C or less], weight [taps, C, C'], out [B, T, C'], residual [B, T, C' or less], all
    contiguous; ``keep``: the result is added to the sum in out."""
    batch, frames, width = x.shape
    taps, depth, columns = weight.shape
    block.check(columns, depth)
    check_aligned(x=x, weight=weight, bias=bias, out=out, **({} if residual is None else {"residual": residual}))
    return Launch.of(
        conv_kernel,
        (-(-frames // block.rows) * (columns // block.columns), batch),
        block,
        x=x,
        weight=weight,
        bias=bias,
        residual=out if residual is None else residual,
        out=out,
        frames=frames,
        dilation=dilation,
        keep=int(keep),
        out_slope=float(out_slope),
        gain=float(gain),
        scale=float(scale),
        X_STRIDE=width,
        C=depth,
        OUT=columns,
        TAPS=taps,
        SLOPE=float(slope),
        RESIDUAL=0 if residual is None else residual.shape[2],
        PRECISION=precision,
    )


def run(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor, **options) -> Tensor:
    """:func:`launch` and start; out is written and returned."""
    launch(x, weight, bias, out, **options).run()
    return out
