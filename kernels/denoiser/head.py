"""The last projection and the sampler's update: D = c_skip·x + c_out·(s·W + b), then the next x.

s is the skip path: float32 parts that are still to be added, biased and rectified, or finished values (skip.py).
    out = keep·x + pull·D + past·D' + spread·noise,   out·scale + offset if it is the last one (denormalised mel)
is one step of every sampler that is linear in x and D: consistency (0, 1, 0, √(σ²−σmin²)), Euler and DDIM
(keep, pull, 0, 0), DPM-Solver++(2M) with D' the previous estimate. Noise depends on seed and absolute frame.
"""

from dataclasses import replace

import torch
from torch import Tensor

from fastsvc.kernels import dependent, philox, tiles
from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.launch import Launch, check_aligned

UPDATE_CYCLES = 0.5  # of one multiprocessor for one element of the update: noise takes some sixty instructions


def reference(
    s: Tensor, weight: Tensor, bias: Tensor, x: Tensor, lengths: Tensor, c_skip: float, c_out: float
) -> Tensor:
    """s [B, T, C] (finished), weight [C, M], bias [M], x [B, T, M], lengths [B] → D [B, T, M]."""
    inside = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[..., None]
    return torch.where(inside, c_skip * x + c_out * (s @ weight + bias), 0)


@jit(do_not_specialize=["frames", "noise_step"])
def head_kernel(
    parts,
    skip_bias,
    weight,
    bias,
    x,
    history,
    scale,
    offset,
    out,
    lengths,
    first_frames,
    seeds,
    frames,
    noise_step,
    c_skip,
    c_out,
    keep,
    pull,
    past,
    spread,
    M: tl.constexpr,
    MEL: tl.constexpr,  # M rounded up to a power of two
    C: tl.constexpr,
    SPLITS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    NOISE: tl.constexpr,
    HISTORY: tl.constexpr,  # 0: none, 1: D is written there, 2: D' is read first
    FINISH: tl.constexpr,
    PRECISION: tl.constexpr,
    PDL: tl.constexpr,  # kernels/dependent.py
):
    TILES: tl.constexpr = MEL // COLUMNS
    batch = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) // TILES * ROWS
    t = first + tl.arange(0, ROWS)
    column = tl.program_id(0) % TILES * COLUMNS
    m = column + tl.arange(0, COLUMNS)
    dependent.begin(weight, column, C, MEL, COLUMNS, DEPTH, TILES, PDL)
    length = tl.load(lengths + batch)
    start = batch * frames * M
    element = t[:, None] * M + m[None, :]
    inside = (t < length)[:, None]
    written = (t < frames)[:, None] & (m < M)[None, :]
    if first >= length:
        tl.store(out + start + element, tl.zeros((ROWS, COLUMNS), tl.float32), mask=written)
        return
    k = tl.arange(0, DEPTH)
    rows = parts + batch * frames * C + t[:, None] * C + k[None, :]
    split = tl.num_programs(1).to(tl.int64) * frames * C
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(C // DEPTH):
        s = tl.load(rows + step * DEPTH, mask=inside, other=0.0)
        if SPLITS > 1:
            for part in tl.static_range(1, SPLITS):
                s += tl.load(rows + part * split + step * DEPTH, mask=inside, other=0.0)
            s = tl.maximum(s + tl.load(skip_bias + step * DEPTH + k)[None, :], 0.0)
        w = tl.load(weight + (step * DEPTH + k)[:, None] * MEL + m[None, :])
        sums = tl.dot(s.to(weight.dtype.element_ty), w, sums, input_precision=PRECISION)
    valid = inside & (m < M)[None, :]
    noisy = tl.load(x + start + element, mask=valid, other=0.0)
    denoised = c_skip * noisy + c_out * (sums + tl.load(bias + m)[None, :])
    value = keep * noisy + pull * denoised
    if HISTORY == 2:
        value += past * tl.load(history + start + element, mask=valid, other=0.0)
    if HISTORY > 0:
        tl.store(history + start + element, denoised, mask=valid)
    if NOISE:
        frame = tl.load(first_frames + batch) + t
        seed = tl.load(seeds + batch)
        value += spread * philox.gaussian(seed, frame, noise_step, ROWS, COLUMNS, philox.MEL, column // 4)
    if FINISH:
        value = value * tl.load(scale + m)[None, :] + tl.load(offset + m)[None, :]
    tl.store(out + start + element, tl.where(inside, value, 0.0), mask=written)


def tile(
    frames: int, channels: int, mel_bins: int, dtype: torch.dtype, arch: int, batch: int = 1, splits: int = 1
) -> tiles.Tile:
    """Blocks of rows and mel bins: few bins each where rows are few, all of them where the parts that every block reads
    are the most work. ``splits``: those of the skip path's tile."""
    mel, depth = tiles.power_of_two(mel_bins), 64 if dtype.itemsize == 2 else 32
    stages, blocks = 3 if splits == 1 else 2, []
    for rows in (16, 32, 64):
        spills = rows * dtype.itemsize >= 128 or (rows == 32 and splits > 4)  # with four warps
        widths = [columns for columns in (32, 64, mel) if columns <= mel]
        blocks += [tiles.Tile(rows, width, depth, 8 if spills else 4, stages, splits) for width in widths]
    fitting = [b for b in blocks if shared_bytes(b, dtype) <= tiles.SHARED_BYTES[tiles.architecture(arch)]]
    block = min(fitting, key=lambda b: _cost(b, batch * frames, mel, channels, dtype.itemsize, arch))
    if arch in (120, 121) and (block.rows, block.columns, block.warps, splits) == (32, 128, 4, 4):
        return replace(block, warps=8)  # with four, 16 bytes of stack
    return block


def _cost(block: tiles.Tile, rows: int, columns: int, channels: int, width: int, arch: int) -> float:
    """As :func:`fastsvc.kernels.tiles.cost`, for operands of two types: the parts' bytes are most of what is read."""
    arch = tiles.architecture(arch)
    programs = -(-rows // block.rows) * (columns // block.columns)
    waves = -(-programs // tiles.PROCESSORS[arch])
    part = 4 * block.splits if block.splits > 1 else width
    load = block.depth * (block.rows * part + block.columns * width) / tiles.cache_rate(programs, arch, width)
    multiply = block.rows * block.columns * block.depth / (tiles.TENSOR_RATE[arch] * 2 / width)
    steps = channels // block.depth * max(load, multiply, tiles.STEP_CYCLES)
    return waves * (tiles.PROGRAM_CYCLES + steps + block.rows * block.columns * UPDATE_CYCLES)


def shared_bytes(block: tiles.Tile, dtype: torch.dtype) -> int:
    """Most bytes of one program: parts in flight (one stage is in registers), weights, the result in two layouts."""
    parts = block.splits * block.rows * block.depth * (4 if block.splits > 1 else dtype.itemsize)
    weights = block.depth * block.columns * dtype.itemsize
    return (block.stages - 1) * parts + block.stages * weights + block.rows * block.columns * 4


def launch(
    parts: Tensor,
    skip_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    x: Tensor,
    scale: Tensor,
    offset: Tensor,
    out: Tensor,
    lengths: Tensor,
    first_frames: Tensor,
    seeds: Tensor,
    block: tiles.Tile,
    c_skip: float,
    c_out: float,
    keep: float = 0.0,
    pull: float = 1.0,
    past: float | None = None,
    spread: float | None = None,
    noise_step: int = 0,
    history: Tensor | None = None,
    finish: bool = False,
    precision: str = "tf32x3",
    pdl: bool = False,
) -> Launch:
    """parts [SPLITS, B, T, C]; weight [C, MEL], bias, scale and offset [MEL], MEL a power of two ≥ M, zeros beyond.

    x, out and history [B, T, M] float32; out may be x. D is written to history, which is read first if ``past`` is set.
    """
    splits, batch, frames, channels = parts.shape
    block.check(weight.shape[1], channels * splits)
    check_aligned(parts=parts, weight=weight, x=x, out=out, lengths=lengths, first_frames=first_frames, seeds=seeds)
    return Launch.of(
        head_kernel,
        (-(-frames // block.rows) * (weight.shape[1] // block.columns), batch),
        block,
        parts=parts,
        skip_bias=skip_bias,
        weight=weight,
        bias=bias,
        x=x,
        history=out if history is None else history,
        scale=scale,
        offset=offset,
        out=out,
        lengths=lengths,
        first_frames=first_frames,
        seeds=seeds,
        frames=frames,
        noise_step=noise_step,
        c_skip=float(c_skip),
        c_out=float(c_out),
        keep=float(keep),
        pull=float(pull),
        past=float(past or 0.0),
        spread=float(spread or 0.0),
        M=x.shape[2],
        MEL=weight.shape[1],
        C=channels,
        SPLITS=splits,
        NOISE=spread is not None,
        HISTORY=0 if history is None else 1 if past is None else 2,
        FINISH=finish,
        PRECISION=precision,
        PDL=pdl,
    )


def run(
    parts: Tensor, skip_bias: Tensor, weight: Tensor, bias: Tensor, x: Tensor, out: Tensor, lengths: Tensor, **options
) -> Tensor:
    """:func:`launch` and start, for D alone; out is written and returned."""
    none = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    launch(parts, skip_bias, weight, bias, x, bias, bias, out, lengths, none, none, **options).run()
    return out
