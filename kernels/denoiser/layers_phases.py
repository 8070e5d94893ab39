"""One tile of all layers in one launch (layers.py): wait for the tiles before it, compute, count it as finished."""

from fastsvc.kernels.denoiser import gated_conv, residual
from fastsvc.kernels.language import jit, tl


@jit
def wait(counts, low, high, needed, THREADS: tl.constexpr):
    """Until the row blocks ``low`` … ``high`` have ``needed`` finished tiles each. What these wrote is visible then."""
    at = tl.arange(0, THREADS)
    mask = (at >= low) & (at <= high)
    total = needed * (high - low + 1)
    count = -1
    while count < total:
        seen = tl.atomic_add(counts + at, 0, mask=mask, sem="acquire", scope="gpu")
        count = tl.sum(tl.where(mask, seen, 0), axis=0)


@jit
def finish(counts, row_block):
    """Count a tile whose stores all come before."""
    tl.debug_barrier()  # of all threads of this program
    tl.atomic_add(counts + row_block, 1, sem="release", scope="gpu")


@jit
def place(tile, row_blocks, dilation, TILES: tl.constexpr, ROWS: tl.constexpr):
    """Of a tile, of which a row block has TILES: its block of columns, its row block, its sequence, its rows; and the
    first and the last row block that the dilated taps of these rows reach."""
    block, row_block = tile % TILES, tile // TILES % row_blocks
    sequence = (tile // (TILES * row_blocks)).to(tl.int64)
    first = row_block * ROWS
    low = tl.maximum(first - dilation, 0) // ROWS
    high = tl.minimum((first + ROWS - 1 + dilation) // ROWS, row_blocks - 1)
    return block, row_block, sequence, first + tl.arange(0, ROWS), low, high


@jit
def conv_tile(
    tile,
    state,
    z,
    weight,
    bias,
    lengths,
    counts,  # of this layer's convolution; those of the residual before lie in front
    frames,
    batch,
    layer,
    dilation,
    C: tl.constexpr,
    STATE_STRIDE: tl.constexpr,
    LAYERS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    NARROW: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
    THREADS: tl.constexpr,
):
    """z of one block of rows and columns, as gated_conv.py computes it."""
    row_blocks = (frames + ROWS - 1) // ROWS
    block, row_block, sequence, t, low, high = place(tile, row_blocks, dilation, 2 * C // COLUMNS, ROWS)
    length = tl.load(lengths + sequence)
    if layer > 0:
        wait(counts - batch * row_blocks + sequence * row_blocks, low, high, C // NARROW, THREADS)
    rows = state + sequence * frames * STATE_STRIDE
    value = gated_conv.convolved(
        rows, weight, bias, t, block, length, dilation, C, STATE_STRIDE, ROWS, COLUMNS, DEPTH, PRECISION
    )
    column = block * (COLUMNS // 2) + tl.arange(0, COLUMNS // 2)
    out = z + sequence * frames * (LAYERS * C) + layer * C
    written = t[:, None] * (LAYERS * C) + column[None, :]
    tl.store(out + written, value.to(z.dtype.element_ty), mask=(t < frames)[:, None])
    finish(counts + sequence * row_blocks, row_block)


@jit
def residual_tile(
    tile,
    state,
    z,
    weight,
    shift,
    lengths,
    counts,  # of this layer's convolution; those of the residual lie behind
    frames,
    batch,
    layer,
    dilation,
    C: tl.constexpr,
    STATE_STRIDE: tl.constexpr,
    LAYERS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    NARROW: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
    THREADS: tl.constexpr,
):
    """X of one block of rows and columns, as residual.py computes it, when no neighbour reads these rows any more."""
    row_blocks = (frames + ROWS - 1) // ROWS
    block, row_block, sequence, t, low, high = place(tile, row_blocks, dilation, C // NARROW, ROWS)
    length = tl.load(lengths + sequence)
    wait(counts + sequence * row_blocks, low, high, 2 * C // COLUMNS, THREADS)
    column = block * NARROW + tl.arange(0, NARROW)
    element = state + sequence * frames * STATE_STRIDE + t[:, None] * STATE_STRIDE + column[None, :]
    rows = z + sequence * frames * (LAYERS * C) + layer * C
    value = residual.updated(
        element, rows, weight, shift, t, column, length, C, LAYERS * C, ROWS, NARROW, DEPTH, PRECISION
    )
    tl.store(element, value.to(state.dtype.element_ty), mask=(t < frames)[:, None])
    finish(counts + batch * row_blocks + sequence * row_blocks, row_block)
