"""A residual unit of a narrow stage in one launch: v = x + conv(leaky(conv(leaky(x)))), out = (out + v)·scale.

A program computes ROWS rows of the inner convolution; the outer one, with K taps, turns them into ROWS − K + 1 rows.
The neighbouring block computes the halo again. Triton cannot shift rows in registers, so the inner rows go to a scratch
of ROWS·C elements that belongs to the program alone, and after a barrier the taps are read from there. There are as
many programs as the device runs at once, and each takes one block after another. So the scratch stays in the L2 cache,
and device memory sees x once and out once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.kernels import occupancy, tiles
from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.launch import Launch, check_aligned
from fastsvc.kernels.vocoder import conv
from fastsvc.kernels.vocoder.activation import leaky

WIDEST, MOST_TAPS = 128, 16  # channels of a block that still fits, and taps whose halo is still small beside it
LONG = 128  # inner rows of a block; 64 where this many would leave processors idle
SHARE, MOST_SHARE = 2, 4  # programs of one multiprocessor: one loads while another multiplies


def reference(
    x: Tensor,
    inner: Tensor,
    inner_bias: Tensor,
    outer: Tensor,
    outer_bias: Tensor,
    dilation: int,
    slope: float,
    before: Tensor | None = None,
    scale: float = 1.0,
) -> Tensor:
    """x [B, T, C], inner and outer [K, C, C], biases [C], before (a sum so far) [B, T, C] → out [B, T, C]."""
    y = conv.reference(x, inner, inner_bias, dilation, slope, slope)
    return conv.reference(y, outer, outer_bias, residual=x, before=before, scale=scale)


@jit(do_not_specialize=["frames", "dilation", "batch", "keep"])
def residual_unit_kernel(
    x,
    inner,
    inner_bias,
    outer,
    outer_bias,
    scratch,
    out,
    frames,
    dilation,
    batch,
    keep,
    scale,
    C: tl.constexpr,
    TAPS: tl.constexpr,
    SLOPE: tl.constexpr,
    ROWS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    OUT: tl.constexpr = ROWS - TAPS + 1
    REACH: tl.constexpr = TAPS // 2
    kind = inner.dtype.element_ty
    blocks = (frames + OUT - 1) // OUT
    m = tl.arange(0, ROWS)
    k = tl.arange(0, DEPTH)
    column = tl.arange(0, C)
    inners = inner + k[:, None] * C + column[None, :]
    outers = outer + k[:, None] * C + column[None, :]
    program_scratch = scratch + tl.program_id(0).to(tl.int64) * ROWS * C
    block = tl.program_id(0)
    while block < blocks * batch:
        start = (block // blocks).to(tl.int64) * frames * C
        first = block % blocks * OUT
        t = first - REACH + m
        rows = x + start + t[:, None] * C + k[None, :]
        sums = tl.zeros((ROWS, C), tl.float32)
        for step in range(TAPS * C // DEPTH):
            part, tap = step // TAPS, step % TAPS
            shift = (tap - REACH) * dilation
            row = t + shift
            mask = ((row >= 0) & (row < frames))[:, None]
            a = tl.load(rows + (shift * C + part * DEPTH), mask=mask, other=0.0, cache_modifier=".ca")
            w = tl.load(inners + (tap * C + part * DEPTH) * C, cache_modifier=".ca")
            sums = tl.dot(leaky(a, SLOPE), w, sums, input_precision=PRECISION)
        y = leaky(sums + tl.load(inner_bias + column)[None, :], SLOPE)
        y = tl.where(((t >= 0) & (t < frames))[:, None], y, 0.0)
        tl.store(program_scratch + m[:, None] * C + column[None, :], y.to(kind))
        tl.debug_barrier()  # every thread of the program now sees what the others wrote
        rows = program_scratch + m[:, None] * C + k[None, :]
        sums = tl.zeros((ROWS, C), tl.float32)
        for step in range(TAPS * C // DEPTH):
            part, tap = step // TAPS, step % TAPS
            mask = (m < OUT)[:, None]
            a = tl.load(rows + (tap * C + part * DEPTH), mask=mask, other=0.0, cache_modifier=".ca")
            w = tl.load(outers + (tap * C + part * DEPTH) * C, cache_modifier=".ca")
            sums = tl.dot(a, w, sums, input_precision=PRECISION)
        t = first + m
        inside = ((m < OUT) & (t < frames))[:, None]
        summed_rows = tl.where(keep != 0, frames, 0)
        element = start + t[:, None] * C + column[None, :]
        value = sums + tl.load(outer_bias + column)[None, :]
        value += tl.load(x + element, mask=inside, other=0.0).to(tl.float32)
        value += tl.load(out + element, mask=((m < OUT) & (t < summed_rows))[:, None], other=0.0).to(tl.float32)
        tl.store(out + element, (value * scale).to(kind), mask=inside)
        tl.debug_barrier()  # no thread writes the next block's inner rows while these are read
        block += tl.num_programs(0)


def fits(channels: int, taps: int) -> bool:
    """Whether all channels are one block of columns, and a block has many more rows than taps."""
    return channels <= WIDEST and channels & (channels - 1) == 0 and taps <= MOST_TAPS


def tile(rows: int, channels: int, dtype: torch.dtype, arch: int) -> tiles.Tile:
    """Blocks of all channels for ``rows`` in all sequences; as many stages as leave room for other programs."""
    arch, width = tiles.architecture(arch), dtype.itemsize
    long_rows = LONG if width == 2 else LONG // 2  # tf32x3 splits an operand in three, which fills the registers
    block_rows = long_rows if rows >= long_rows * tiles.PROCESSORS[arch] else long_rows // 2
    depth = min(64 if width == 2 else 32, channels)
    area = block_rows * channels * width
    warps = 8 if area > 128 * 64 * 2 or (area == 128 * 64 * 2 and tiles.AREA[arch] <= 128 * 128) else 4
    # Up to these bytes of a block ptxas would choose 128 on sm_100, 64 on sm_120, to fit one more program, and spill.
    spilling_bytes = {100: 128 * 32 * 2, 103: 128 * 32 * 2, 120: 64 * 32 * 2, 121: 64 * 32 * 2}.get(arch, 0)
    enough_registers = 128 if arch in (120, 121) and width == 2 else 160
    registers = enough_registers if warps == 4 and area <= spilling_bytes else None
    for stages in (4, 3, 2):
        block = tiles.Tile(block_rows, channels, depth, warps, stages, registers=registers)
        if block.shared_bytes(width) * SHARE <= tiles.SHARED_BYTES[arch]:
            break
    return block


def registers(block: tiles.Tile, width: int, arch: int) -> int:
    """The most that a thread takes, as compiled (bench/results/kernels.md; tests compare)."""
    arch, sums = tiles.architecture(arch), block.accumulator_registers
    if tiles.AREA[arch] <= 128 * 128:  # operands are in registers, too
        most = 128 if width == 2 else 168 if sums <= 16 and block.warps == 4 else 200
    elif width == 4:
        most = 216 if block.columns > 64 else 168 if sums > 16 else 128
    elif sums > 32:
        most = 248 if block.columns > 64 else 232
    else:
        most = 88 if sums <= 16 else 128 if arch == 90 and block.columns <= 32 else 152
    return min(most, block.registers or most)


def programs(rows: int, taps: int, batch: int, block: tiles.Tile, width: int, arch: int) -> int:
    """The number of programs for sequences of ``rows``, ``width`` bytes an element: one a block, but at most as many as
    the device holds at once by its shared memory and its registers. More would wait for these, with a scratch each."""
    share = occupancy.programs(block.shared_bytes(width), registers(block, width, arch), block.warps, arch)
    most = max(1, min(MOST_SHARE, share)) * tiles.PROCESSORS[tiles.architecture(arch)]
    return min(batch * -(-rows // (block.rows - taps + 1)), most)


def launch(
    x: Tensor,
    inner: Tensor,
    inner_bias: Tensor,
    outer: Tensor,
    outer_bias: Tensor,
    scratch: Tensor,
    out: Tensor,
    block: tiles.Tile,
    dilation: int,
    slope: float,
    keep: bool = False,
    scale: float = 1.0,
    precision: str = "tf32x3",
) -> Launch:
    """x and out [B, T, C], of which out must not be x; inner, outer [K, C, C]; scratch [programs, ROWS, C], one type.

    ``keep``: the result is added to the sum in out.
    """
    batch, frames, channels = x.shape
    taps = len(inner)
    block.check(channels, channels)
    if not fits(channels, taps):
        raise ValueError(f"{channels} channels and {taps} taps are too much for one launch")
    if block.columns != channels or scratch.shape[1:] != (block.rows, channels):
        raise ValueError(f"{channels} channels are no block of {block} with a scratch of {tuple(scratch.shape)}")
    if out.data_ptr() == x.data_ptr() and x.device.type != "meta":
        raise ValueError("out: must not be x, which neighbouring blocks still read")
    check_aligned(x=x, inner=inner, outer=outer, inner_bias=inner_bias, outer_bias=outer_bias, scratch=scratch, out=out)
    return Launch.of(
        residual_unit_kernel,
        (len(scratch),),
        block,
        x=x,
        inner=inner,
        inner_bias=inner_bias,
        outer=outer,
        outer_bias=outer_bias,
        scratch=scratch,
        out=out,
        frames=frames,
        dilation=dilation,
        batch=batch,
        keep=int(keep),
        scale=float(scale),
        C=channels,
        TAPS=taps,
        SLOPE=float(slope),
        PRECISION=precision,
    )


def run(x: Tensor, inner: Tensor, inner_bias: Tensor, outer: Tensor, outer_bias: Tensor, *others, **options) -> Tensor:
    """:func:`launch` and start; out is written and returned."""
    started = launch(x, inner, inner_bias, outer, outer_bias, *others, **options)
    started.run()
    return started.arguments["out"]
