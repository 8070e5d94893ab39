"""The residual half of a layer's 1×1 convolution: X ← X/√2 + z·W + shift, in place.

X holds x_l + d_l, and 1/√2 is inside W and its bias b, so with shift = b − d_l/√2 + d_{l+1} the result is
x_{l+1} + d_{l+1}. Rows beyond a sequence's end stay zero, which is the convolution's zero padding.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from fastsvc.kernels import dependent, tiles
from fastsvc.kernels.language import constant, jit, tl
from fastsvc.kernels.launch import Launch, check_aligned

HALF_ROOT = constant(math.sqrt(0.5))


def reference(state: Tensor, z: Tensor, weight: Tensor, shift: Tensor, lengths: Tensor) -> Tensor:
    """state [B, T, C], z [B, T, C], weight [C, C], shift [C], lengths [B] → the new state [B, T, C]."""
    inside = (torch.arange(state.shape[1], device=state.device) < lengths[:, None])[..., None]
    product = torch.where(inside, z, 0) @ weight
    return torch.where(inside, state * math.sqrt(0.5) + product + shift, 0)


@jit
def updated(
    x,  # pointers to X [ROWS, COLUMNS]
    z,  # the first row of one sequence
    weight,
    shift,
    t,
    column,
    length,
    C: tl.constexpr,
    Z_STRIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The new X of rows ``t`` in ``column`` [ROWS, COLUMNS], float32, zero from ``length`` on."""
    inside = (t < length)[:, None]
    k = tl.arange(0, DEPTH)
    rows = z + t[:, None] * Z_STRIDE + k[None, :]
    weights = weight + k[:, None] * C + column[None, :]
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(C // DEPTH):
        a = tl.load(rows + step * DEPTH, mask=inside, other=0.0)
        w = tl.load(weights + step * DEPTH * C)
        sums = tl.dot(a, w, sums, input_precision=PRECISION)
    value = tl.load(x, mask=inside, other=0.0).to(tl.float32) * HALF_ROOT + sums + tl.load(shift + column)[None, :]
    return tl.where(inside, value, 0.0)


@jit(do_not_specialize=["frames"])
def residual_kernel(
    state,
    z,
    weight,
    shift,
    lengths,
    frames,
    C: tl.constexpr,
    STATE_STRIDE: tl.constexpr,
    Z_STRIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
    PDL: tl.constexpr,  # kernels/dependent.py
):
    TILES: tl.constexpr = C // COLUMNS
    batch = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) // TILES * ROWS
    t = first + tl.arange(0, ROWS)
    block = tl.program_id(0) % TILES
    column = block * COLUMNS + tl.arange(0, COLUMNS)
    dependent.begin(weight, block * COLUMNS, C, C, COLUMNS, DEPTH, TILES, PDL)
    length = tl.load(lengths + batch)
    out = state + batch * frames * STATE_STRIDE
    element = t[:, None] * STATE_STRIDE + column[None, :]
    if first >= length:
        tl.store(out + element, tl.zeros((ROWS, COLUMNS), state.dtype.element_ty), mask=t[:, None] < frames)
        return
    rows = z + batch * frames * Z_STRIDE
    value = updated(out + element, rows, weight, shift, t, column, length, C, Z_STRIDE, ROWS, COLUMNS, DEPTH, PRECISION)
    tl.store(out + element, value.to(state.dtype.element_ty), mask=t[:, None] < frames)


def tile(frames: int, channels: int, dtype: torch.dtype, arch: int, batch: int = 1) -> tiles.Tile:
    """Blocks for ``batch`` sequences of ``frames``."""
    block = tiles.choose(batch * frames, channels, channels, dtype.itemsize, arch)
    if dtype.itemsize == 2 and (block.rows, block.columns, block.warps) == (64, 64, 4):
        return replace(block, registers=128)  # ptxas would choose 96 on sm_86, to fit one more program, and spill
    return block


def launch(
    state: Tensor,
    z: Tensor,
    weight: Tensor,
    shift: Tensor,
    lengths: Tensor,
    block: tiles.Tile,
    precision: str = "tf32x3",
    pdl: bool = False,
) -> Launch:
    """state [B, T, C or more] (its first C columns are read and written) and z [B, T, C] may be blocks of columns."""
    batch, frames, _ = state.shape
    channels = len(weight)
    block.check(channels, channels)
    check_aligned(state=state, z=z, weight=weight, shift=shift, lengths=lengths)
    return Launch.of(
        residual_kernel,
        (-(-frames // block.rows) * (channels // block.columns), batch),
        block,
        state=state,
        z=z,
        weight=weight,
        shift=shift,
        lengths=lengths,
        frames=frames,
        C=channels,
        STATE_STRIDE=state.stride(1),
        Z_STRIDE=z.stride(1),
        PRECISION=precision,
        PDL=pdl,
    )


def run(state: Tensor, z: Tensor, weight: Tensor, shift: Tensor, lengths: Tensor, **options) -> Tensor:
    """:func:`launch` and start; state is changed in place and returned."""
    launch(state, z, weight, shift, lengths, **options).run()
    return state
