"""The condition: units·W of each frame, plus f0, loudness and voicing times their vectors, plus the utterance's vector.

A model with pulses (fastsvc/model/pulse_mel.py) adds the two rows of a table about f0, where the frame is voiced.

The kernel writes it beside X in the state buffer, where the gated convolutions read it. Rows beyond the end are zero.
"""

from dataclasses import replace

import torch
from torch import Tensor

from fastsvc.kernels import tiles
from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.launch import Launch, check_aligned

F0_SCALE = 700.0  # Hz
SCALED = 3  # vectors that are multiplied by scalars; rows of the pulses' table follow
LOWEST_HZ, PER_OCTAVE = 32.0, 120.0  # of that table, as in fastsvc/model/pulse_mel.py


def reference(
    units: Tensor,
    unit_rows: Tensor,
    weight: Tensor,
    scalars: Tensor,
    vectors: Tensor,
    utterance: Tensor,
    lengths: Tensor,
) -> Tensor:
    """units [B, Tu, U], unit_rows [B, T] (of units), weight [U, H], scalars [3, B, T] (f0_hz, loudness, voiced),
    vectors [3 + R, H], utterance [B, H], lengths [B] → cond [B, T, H]; R: rows of the pulses' table, 0 without one."""
    inside = (torch.arange(unit_rows.shape[1], device=unit_rows.device) < lengths[:, None])[..., None]
    unit_rows = torch.where(inside[..., 0], unit_rows, 0).long()
    rows = units.gather(1, unit_rows[..., None].expand(-1, -1, units.shape[2]))
    f0_hz, loudness, voiced = torch.where(inside[..., 0], scalars, 0)
    values = torch.stack([torch.log1p(f0_hz / F0_SCALE), loudness, voiced], dim=-1)
    cond = rows.to(weight.dtype) @ weight + values @ vectors[:SCALED] + utterance[:, None]
    table = vectors[SCALED:]
    if len(table):
        place = (PER_OCTAVE * torch.log2(f0_hz.clamp(min=LOWEST_HZ) / LOWEST_HZ)).clamp(max=len(table) - 1)
        below = place.long().clamp(max=len(table) - 2)
        lines = torch.lerp(table[below], table[below + 1], (place - below)[..., None])
        cond = cond + voiced[..., None] * lines
    return torch.where(inside, cond, 0)


@jit(do_not_specialize=["frames", "unit_frames"])
def condition_kernel(
    units,
    unit_rows,
    weight,
    scalars,
    vectors,
    utterance,
    cond,
    lengths,
    frames,
    unit_frames,
    U: tl.constexpr,
    PULSE_ROWS: tl.constexpr,
    H: tl.constexpr,
    COND_STRIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    TILES: tl.constexpr = H // COLUMNS
    batch = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) // TILES * ROWS
    t = first + tl.arange(0, ROWS)
    column = tl.program_id(0) % TILES * COLUMNS + tl.arange(0, COLUMNS)
    length = tl.load(lengths + batch)
    out = cond + batch * frames * COND_STRIDE
    written = t[:, None] * COND_STRIDE + column[None, :]
    if first >= length:
        tl.store(out + written, tl.zeros((ROWS, COLUMNS), cond.dtype.element_ty), mask=t[:, None] < frames)
        return
    inside = t < length
    unit_row = tl.load(unit_rows + batch * frames + t, mask=inside, other=0)
    unit_row = tl.minimum(tl.maximum(unit_row, 0), unit_frames - 1)  # a wrong row must not read foreign memory
    k = tl.arange(0, DEPTH)
    rows = units + batch * unit_frames * U + unit_row[:, None] * U + k[None, :]
    weights = weight + k[:, None] * H + column[None, :]
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    if PULSE_ROWS > 0:  # before the products: after them there would be too few registers
        f0_hz = tl.load(scalars + batch * frames + t, mask=inside, other=0.0)
        voiced = tl.load(scalars + (2 * tl.num_programs(1).to(tl.int64) + batch) * frames + t, mask=inside, other=0.0)
        place = tl.minimum(tl.log2(tl.maximum(f0_hz, 32.0) / 32.0) * 120.0, PULSE_ROWS - 1.0)
        below = tl.minimum(place.to(tl.int32), PULSE_ROWS - 2)
        part = place - below
        pulses = vectors + (3 + below)[:, None] * H + column[None, :]
        sums += (voiced * (1.0 - part))[:, None] * tl.load(pulses)
        sums += (voiced * part)[:, None] * tl.load(pulses + H)
    for step in range((U + DEPTH - 1) // DEPTH):
        mask = inside[:, None]
        if U % DEPTH != 0:
            mask = mask & (step * DEPTH + k < U)[None, :]
        a = tl.load(rows + step * DEPTH, mask=mask, other=0.0).to(weight.dtype.element_ty)
        w = tl.load(weights + step * DEPTH * H)
        sums = tl.dot(a, w, sums, input_precision=PRECISION)
    scalar = scalars + batch * frames + t
    plane = tl.num_programs(1).to(tl.int64) * frames
    f0_hz = tl.load(scalar, mask=inside, other=0.0)
    loudness = tl.load(scalar + plane, mask=inside, other=0.0)
    voiced = tl.load(scalar + 2 * plane, mask=inside, other=0.0)
    sums += tl.log(1.0 + f0_hz / 700.0)[:, None] * tl.load(vectors + column)[None, :]
    sums += loudness[:, None] * tl.load(vectors + H + column)[None, :]
    sums += voiced[:, None] * tl.load(vectors + 2 * H + column)[None, :]
    sums += tl.load(utterance + batch * H + column)[None, :]
    tl.store(out + written, tl.where(inside[:, None], sums, 0.0).to(cond.dtype.element_ty), mask=t[:, None] < frames)


def tile(
    frames: int,
    unit_channels: int,
    hidden: int,
    dtype: torch.dtype,
    arch: int,
    batch: int = 1,
    pulses: bool = False,
) -> tiles.Tile:
    """Blocks for ``batch`` sequences of ``frames``; the last step along K may be partly empty."""
    depth = -(-unit_channels // 64) * 64
    block = tiles.choose(batch * frames, hidden, depth, dtype.itemsize, arch)
    if pulses and dtype.itemsize == 4 and block.columns > 64:  # with 128, sm_80 and sm_86 spill
        return replace(block, columns=64, warps=8)
    if block.rows * block.columns >= 64 * 128:  # the epilogue has many terms: four warps spill on sm_100
        return replace(block, warps=8)
    if arch in (120, 121) and dtype.itemsize == 4 and (block.rows, block.columns) == (32, 64):
        return replace(block, registers=96)  # ptxas would choose 80, to fit one more program, and spill
    return block


def launch(
    units: Tensor,
    unit_rows: Tensor,
    weight: Tensor,
    scalars: Tensor,
    vectors: Tensor,
    utterance: Tensor,
    cond: Tensor,
    lengths: Tensor,
    block: tiles.Tile,
    precision: str = "tf32x3",
) -> Launch:
    """units of any floating type [B, Tu, U]; unit_rows int32 [B, T]; weight [U rounded up to 64, H], zero below;
    scalars [3, B, T], vectors [3 + R, H], utterance [B, H] float32; cond [B, T, H] may be a block of columns."""
    batch, frames = unit_rows.shape
    hidden = weight.shape[1]
    block.check(hidden, len(weight))
    check_aligned(units=units, weight=weight, scalars=scalars, vectors=vectors, utterance=utterance, cond=cond)
    return Launch.of(
        condition_kernel,
        (-(-frames // block.rows) * (hidden // block.columns), batch),
        block,
        units=units,
        unit_rows=unit_rows,
        weight=weight,
        scalars=scalars,
        vectors=vectors,
        utterance=utterance,
        cond=cond,
        lengths=lengths,
        frames=frames,
        unit_frames=units.shape[1],
        U=units.shape[2],
        PULSE_ROWS=len(vectors) - SCALED,
        H=hidden,
        COND_STRIDE=cond.stride(1),
        PRECISION=precision,
    )


def run(
    units: Tensor,
    unit_rows: Tensor,
    weight: Tensor,
    scalars: Tensor,
    vectors: Tensor,
    utterance: Tensor,
    cond: Tensor,
    lengths: Tensor,
    **options,
) -> Tensor:
    """:func:`launch` and start; cond is written and returned."""
    launch(units, unit_rows, weight, scalars, vectors, utterance, cond, lengths, **options).run()
    return cond
