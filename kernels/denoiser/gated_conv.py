"""The gated convolution of one layer: z = σ(gate)·tanh(filter), three taps and the condition in one matrix product.

Row t of the operand is [X[t−δ], X[t+δ], X[t], cond[t]]. The state buffer [B, T, C + H] holds X and, beside it, the
condition, so the middle tap and the condition are adjacent columns and nothing is gathered. The weight is
[3C + H, 2C] with alternating gate and filter columns (pack.py): neighbouring accumulators of one thread are a gate
and its filter. The taps of some channels come one after another, before the next channels: their rows are nearly the
same ones. Large blocks read them once from the L2 cache and then from the multiprocessor's own; in small ones the way
through that cache costs as much.
"""

import math

import torch
from torch import Tensor

from fastsvc.kernels import dependent, tiles
from fastsvc.kernels.language import constant, jit, tl
from fastsvc.kernels.launch import Launch, check_aligned


def reference(state: Tensor, weight: Tensor, bias: Tensor, lengths: Tensor, dilation: int) -> Tensor:
    """state [B, T, C + H], weight [3C + H, 2C], bias [2C], lengths [B] → z [B, T, C]."""
    frames, width = state.shape[1], weight.shape[1] // 2
    inside = torch.arange(frames, device=state.device) < lengths[:, None]
    rows = torch.where(inside[..., None], state, 0)
    x = torch.nn.functional.pad(rows[..., :width], (0, 0, dilation, dilation))
    operand = torch.cat([x[:, :frames], x[:, 2 * dilation :], rows], dim=-1)
    gate, filter_ = (operand @ weight + bias).unflatten(-1, (width, 2)).unbind(-1)
    return torch.where(inside[..., None], torch.sigmoid(gate) * torch.tanh(filter_), 0)


REUSE_ROWS = constant(64)  # of blocks that read rows through the multiprocessor's own cache


@jit
def convolved(
    x,  # the first row of one sequence's state
    weight,
    bias,
    t,
    block,
    length,
    dilation,
    C: tl.constexpr,
    STATE_STRIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """z of rows ``t`` in the columns of ``block`` [ROWS, COLUMNS / 2], float32, zero from ``length`` on."""
    HINT: tl.constexpr = ".ca" if ROWS >= REUSE_ROWS else ""
    k = tl.arange(0, DEPTH)
    packed = block * COLUMNS + tl.arange(0, COLUMNS)
    weights = weight + k[:, None] * (2 * C) + packed[None, :]
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range((2 * C + STATE_STRIDE) // DEPTH):
        tap = tl.where(step < 3 * C // DEPTH, step % 3, 2)  # after all taps the condition, beside the middle one
        part = tl.where(step < 3 * C // DEPTH, step // 3, step - 2 * C // DEPTH)
        row = t + tl.where(tap == 2, 0, (2 * tap - 1) * dilation)
        address = x + row[:, None] * STATE_STRIDE + (part * DEPTH + k)[None, :]
        mask = (row >= 0)[:, None] & (row < length)[:, None]
        a = tl.load(address, mask=mask, other=0.0, cache_modifier=HINT)
        w = tl.load(weights + (tap * C + part * DEPTH) * (2 * C))
        sums = tl.dot(a, w, sums, input_precision=PRECISION)
    sums += tl.load(bias + packed)[None, :]
    gate, filter_ = tl.split(tl.reshape(sums, (ROWS, COLUMNS // 2, 2)))
    # σ(g) tanh(f) = (1 − b) / ((1 + a)(1 + b)) with a = e^−g, b = e^−2f; tanh 10 is 1 in float32
    a = tl.exp(-gate)
    b = tl.exp(-2.0 * tl.minimum(tl.maximum(filter_, -10.0), 10.0))
    value = (1.0 - b) / ((1.0 + a) * (1.0 + b))
    return tl.where((t < length)[:, None], value, 0.0)


@jit(do_not_specialize=["frames", "dilation"])
def gated_conv_kernel(
    state,
    weight,
    bias,
    z,
    lengths,
    frames,
    dilation,
    C: tl.constexpr,
    STATE_STRIDE: tl.constexpr,  # C + H
    Z_STRIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,  # of gate and filter together
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
    PDL: tl.constexpr,  # kernels/dependent.py
):
    TILES: tl.constexpr = 2 * C // COLUMNS
    batch = tl.program_id(1).to(tl.int64)
    block = tl.program_id(0) % TILES
    dependent.begin(weight, block * COLUMNS, 2 * C + STATE_STRIDE, 2 * C, COLUMNS, DEPTH, TILES, PDL)
    first = tl.program_id(0) // TILES * ROWS
    t = first + tl.arange(0, ROWS)
    column = block * (COLUMNS // 2) + tl.arange(0, COLUMNS // 2)
    length = tl.load(lengths + batch)
    out = z + batch * frames * Z_STRIDE
    written = t[:, None] * Z_STRIDE + column[None, :]
    if first >= length:
        tl.store(out + written, tl.zeros((ROWS, COLUMNS // 2), z.dtype.element_ty), mask=t[:, None] < frames)
        return
    x = state + batch * frames * STATE_STRIDE
    value = convolved(x, weight, bias, t, block, length, dilation, C, STATE_STRIDE, ROWS, COLUMNS, DEPTH, PRECISION)
    tl.store(out + written, value.to(z.dtype.element_ty), mask=t[:, None] < frames)


def tile(frames: int, channels: int, hidden: int, dtype: torch.dtype, arch: int, batch: int = 1) -> tiles.Tile:
    """Blocks for ``batch`` sequences of ``frames``; columns count gates and filters."""
    depth = 3 * channels + hidden
    product, fresh = (batch * frames, 2 * channels, depth, dtype.itemsize, arch), (channels + hidden) / depth
    return tiles.choose(*product, narrowest=32, widest=256, fresh=fresh, reuse_rows=rows_to_reuse())


def rows_to_reuse() -> int:
    """:data:`REUSE_ROWS` as a plain number."""
    return int(getattr(REUSE_ROWS, "value", REUSE_ROWS))


def launch(
    state: Tensor,
    weight: Tensor,
    bias: Tensor,
    z: Tensor,
    lengths: Tensor,
    dilation: int,
    block: tiles.Tile,
    precision: str = "tf32x3",
    pdl: bool = False,
) -> Launch:
    """z [B, T, C] may be a block of columns; precision: of float32 products, "ieee", "tf32x3" or "tf32"."""
    batch, frames, stride = state.shape
    channels = weight.shape[1] // 2
    block.check(2 * channels, math.gcd(channels, stride))
    check_aligned(state=state, weight=weight, bias=bias, z=z, lengths=lengths)
    return Launch.of(
        gated_conv_kernel,
        (-(-frames // block.rows) * (2 * channels // block.columns), batch),
        block,
        state=state,
        weight=weight,
        bias=bias,
        z=z,
        lengths=lengths,
        frames=frames,
        dilation=dilation,
        C=channels,
        STATE_STRIDE=stride,
        Z_STRIDE=z.stride(1),
        PRECISION=precision,
        PDL=pdl,
    )


def run(state: Tensor, weight: Tensor, bias: Tensor, z: Tensor, lengths: Tensor, dilation: int, **options) -> Tensor:
    """:func:`launch` and start; z is written and returned."""
    launch(state, weight, bias, z, lengths, dilation, **options).run()
    return z
