"""A block of DDSP-SVC 6 in one launch: out ← out + 1×1(activation(depthwise 31(gate(1×1(x))))).

A program computes ROWS gated rows of all channels; the depthwise convolution turns them into ROWS − 30 rows, and the
neighbouring block computes the halo again. Triton cannot shift rows in registers, so gated rows go to a scratch that
belongs to the program alone, and after a barrier the taps are read from there. Their sums go to its second half,
because the last product reads them once for each block of columns. There are as many programs as the device runs at
once, and each takes one block after another: the scratch stays in the L2 cache.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.kernels import tiles
from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.launch import Launch, check_aligned

TAPS = 31
SHARE = 2  # programs of one multiprocessor: one loads while another multiplies


def reference(
    x: Tensor,
    widen: Tensor,
    widen_bias: Tensor,
    taps: Tensor,
    taps_bias: Tensor,
    slope: Tensor | None,
    narrow: Tensor,
    narrow_bias: Tensor,
    out: Tensor,
) -> Tensor:
    """x and out [B, T, C], widen [C, 2I], taps [31, I], slope [I] of a PReLU, narrow [I, C], biases → out + block(x).

    Without ``slope`` it is version 6.0: gate σ, activation SiLU; with it 6.1: gate SiLU, activation PReLU.
    """
    value, gate = (x @ widen + widen_bias).chunk(2, dim=-1)
    gated = value * (torch.sigmoid(gate) if slope is None else F.silu(gate))
    y = F.conv1d(gated.mT, taps.T[:, None], taps_bias, padding=TAPS // 2, groups=len(taps_bias))
    y = F.silu(y) if slope is None else F.prelu(y, slope)
    return out + y.mT @ narrow + narrow_bias


@jit
def gate(
    rows,
    inside,
    widen,
    widen_bias,
    column,
    C: tl.constexpr,
    INNER: tl.constexpr,
    PRELU: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gated values [ROWS, COLUMNS] of the channels ``column``; 0 in rows that are not ``inside``."""
    weights = widen + tl.arange(0, DEPTH)[:, None] * (2 * INNER) + column[None, :]
    values = tl.zeros((ROWS, COLUMNS), tl.float32)
    gates = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(C // DEPTH):
        a = tl.load(rows + step * DEPTH, mask=inside, other=0.0)
        w = tl.load(weights + step * DEPTH * 2 * INNER)
        values = tl.dot(a, w, values, input_precision=PRECISION)
        w = tl.load(weights + (step * DEPTH * 2 * INNER + INNER))
        gates = tl.dot(a, w, gates, input_precision=PRECISION)
    values += tl.load(widen_bias + column)[None, :]
    gates += tl.load(widen_bias + INNER + column)[None, :]
    values *= tl.sigmoid(gates)
    if PRELU:
        values *= gates
    return tl.where(inside, values, 0.0)


@jit
def convolve(
    gated,
    own,
    taps,
    taps_bias,
    slope,
    column,
    INNER: tl.constexpr,
    KERNEL: tl.constexpr,
    PRELU: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The activated depthwise convolution [ROWS, COLUMNS] from ``gated``, pointers to the first tap's values."""
    sums = tl.zeros((ROWS, COLUMNS), tl.float32) + tl.load(taps_bias + column)[None, :]
    for tap in range(KERNEL):
        a = tl.load(gated + tap * INNER, mask=own, other=0.0).to(tl.float32)
        sums += a * tl.load(taps + tap * INNER + column)[None, :]
    if PRELU:
        return tl.where(sums >= 0, sums, sums * tl.load(slope + column)[None, :])
    return sums * tl.sigmoid(sums)


@jit(do_not_specialize=["frames", "batch"])
def block_kernel(
    x,
    widen,
    widen_bias,
    taps,
    taps_bias,
    slope,
    narrow,
    narrow_bias,
    scratch,
    out,
    frames,
    batch,
    C: tl.constexpr,
    INNER: tl.constexpr,
    KERNEL: tl.constexpr,
    PRELU: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    OUT: tl.constexpr = ROWS - KERNEL + 1
    HALF: tl.constexpr = COLUMNS // 2  # of the taps: 64-bit pointers of whole blocks would not fit the registers
    kind = widen.dtype.element_ty
    blocks = (frames + OUT - 1) // OUT
    m = tl.arange(0, ROWS)
    k = tl.arange(0, DEPTH)
    n = tl.arange(0, COLUMNS)
    own = (m < OUT)[:, None]
    half = tl.arange(0, HALF)
    gated = scratch + tl.program_id(0).to(tl.int64) * 2 * ROWS * INNER
    convolved = gated + ROWS * INNER
    block = tl.program_id(0)
    while block < blocks * batch:
        start = (block // blocks).to(tl.int64) * frames * C
        first = block % blocks * OUT
        t = first - KERNEL // 2 + m
        inside = ((t >= 0) & (t < frames))[:, None]
        rows = x + start + t[:, None] * C + k[None, :]
        for tile in range(INNER // COLUMNS):
            at = tile * COLUMNS
            values = gate(rows, inside, widen, widen_bias, at + n, C, INNER, PRELU, ROWS, COLUMNS, DEPTH, PRECISION)
            tl.store(gated + at + m[:, None] * INNER + n[None, :], values.to(kind))
        tl.debug_barrier()  # every thread of the program now sees what the others wrote
        for tile in range(INNER // HALF):
            at = tile * HALF
            places = at + m[:, None] * INNER + half[None, :]
            sums = convolve(gated + places, own, taps, taps_bias, slope, at + half, INNER, KERNEL, PRELU, ROWS, HALF)
            tl.store(convolved + places, sums.to(kind), mask=own)
        tl.debug_barrier()
        row = first + m
        written = ((m < OUT) & (row < frames))[:, None]
        rows = convolved + m[:, None] * INNER + k[None, :]
        for tile in range(C // COLUMNS):
            column = tile * COLUMNS + n
            weights = narrow + k[:, None] * C + column[None, :]
            sums = tl.zeros((ROWS, COLUMNS), tl.float32)
            for step in range(INNER // DEPTH):
                a = tl.load(rows + step * DEPTH, mask=own, other=0.0)
                w = tl.load(weights + step * DEPTH * C)
                sums = tl.dot(a, w, sums, input_precision=PRECISION)
            element = start + row[:, None] * C + column[None, :]
            sums += tl.load(narrow_bias + column)[None, :]
            sums += tl.load(out + element, mask=written, other=0.0).to(tl.float32)
            tl.store(out + element, sums.to(out.dtype.element_ty), mask=written)
        tl.debug_barrier()  # no thread writes the next block's gated rows while these are read
        block += tl.num_programs(0)


def tile(dtype: torch.dtype, arch: int) -> tiles.Tile:
    """Blocks of 128 rows in 16 bits, where the halo costs a third; of 64 in float32, whose operands tf32x3 splits in
    three, and 16 deep, as twice that spills on sm_80 and sm_90. As many stages as leave room for SHARE programs."""
    arch, width = tiles.architecture(arch), dtype.itemsize
    rows, columns, depth, warps = (128, 64, 32, 8) if width == 2 else (64, 32, 16, 8)
    block = tiles.Tile(rows, columns, depth, warps, 2)
    for stages in (4, 3, 2):
        block = tiles.Tile(rows, columns, depth, warps, stages)
        if stages * (rows + 2 * columns) * depth * width * SHARE <= tiles.SHARED_BYTES[arch]:
            break
    return block


def programs(batch: int, frames: int, block: tiles.Tile, arch: int) -> int:
    """One a block of rows, but at most as many as the device runs at once."""
    return min(batch * -(-frames // (block.rows - TAPS + 1)), SHARE * tiles.PROCESSORS[tiles.architecture(arch)])


def launch(
    x: Tensor,
    widen: Tensor,
    widen_bias: Tensor,
    taps: Tensor,
    taps_bias: Tensor,
    slope: Tensor | None,
    narrow: Tensor,
    narrow_bias: Tensor,
    out: Tensor,
    scratch: Tensor,
    block: tiles.Tile,
    precision: str = "tf32x3",
) -> Launch:
    """x and out [B, T, C], of which out must not be x; widen and narrow in one type, all else of the block in float32;
    scratch [programs, 2, ROWS, I] in that type."""
    batch, frames, channels = x.shape
    inner = taps.shape[1]
    block.check(channels, channels)
    block.check(inner, inner)
    if len(taps) != TAPS or block.rows < 2 * TAPS or scratch.shape[1:] != (2, block.rows, inner):
        raise ValueError(f"{len(taps)} taps, {block} and a scratch of {tuple(scratch.shape)} do not fit each other")
    if out.data_ptr() == x.data_ptr() and x.device.type != "meta":
        raise ValueError("out: must not be x, which neighbouring blocks still read")
    check_aligned(x=x, widen=widen, taps=taps, narrow=narrow, out=out, scratch=scratch)
    return Launch.of(
        block_kernel,
        (len(scratch),),
        block,
        x=x,
        widen=widen,
        widen_bias=widen_bias,
        taps=taps,
        taps_bias=taps_bias,
        slope=taps_bias if slope is None else slope,
        narrow=narrow,
        narrow_bias=narrow_bias,
        scratch=scratch,
        out=out,
        frames=frames,
        batch=batch,
        C=channels,
        INNER=inner,
        KERNEL=TAPS,
        PRELU=slope is not None,
        PRECISION=precision,
    )


def run(*arguments, **options) -> Tensor:
    """:func:`launch` and start; out is changed in place and returned."""
    started = launch(*arguments, **options)
    started.run()
    return started.arguments["out"]
