"""The first projection: state = relu(c_in·x·W + b) + d_0. To begin a schedule, the kernel draws x itself.

x [B, T, M] is float32. To begin a schedule, carry·x + spread·noise (noise by seed and absolute frame) replaces x. It is
also written to memory, because the head needs it.
"""

import torch
from torch import Tensor

from fastsvc.kernels import dependent, philox, tiles
from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.launch import Launch, check_aligned


def reference(x: Tensor, weight: Tensor, bias: Tensor, shift: Tensor, lengths: Tensor, c_in: float) -> Tensor:
    """x [B, T, M], weight [M, C], bias and shift (d_0) [C], lengths [B] → the state [B, T, C]."""
    inside = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[..., None]
    product = torch.where(inside, c_in * x, 0).to(weight.dtype) @ weight
    return torch.where(inside, torch.relu(product + bias) + shift, 0)


@jit(do_not_specialize=["frames", "noise_step", "count"])
def first_kernel(
    x,
    noised,
    weight,
    bias,
    shift,
    state,
    lengths,
    first_frames,
    seeds,
    counts,
    frames,
    noise_step,
    count,
    c_in,
    carry,
    spread,
    M: tl.constexpr,
    MEL: tl.constexpr,  # M rounded up to a power of two
    C: tl.constexpr,
    STATE_STRIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    NOISE: tl.constexpr,
    CARRY: tl.constexpr,
    CLEAR: tl.constexpr,  # counts of kernels/denoiser/layers.py are set to zero
    PRECISION: tl.constexpr,
    PDL: tl.constexpr,  # kernels/dependent.py
):
    TILES: tl.constexpr = C // COLUMNS
    batch = tl.program_id(1).to(tl.int64)
    block = tl.program_id(0) % TILES
    t = tl.program_id(0) // TILES * ROWS + tl.arange(0, ROWS)
    m = tl.arange(0, MEL)
    dependent.begin(weight, block * COLUMNS, MEL, C, COLUMNS, MEL, TILES, PDL)
    if CLEAR:
        number = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
        for start in range(number * 128, count, tl.num_programs(0) * tl.num_programs(1) * 128):
            place = start + tl.arange(0, 128)
            tl.store(counts + place, tl.zeros((128,), tl.int32), mask=place < count)
    length = tl.load(lengths + batch)
    inside = (t < length)[:, None]
    rows = batch * frames * M + t[:, None] * M + m[None, :]
    value = tl.zeros((ROWS, MEL), tl.float32)
    if CARRY:
        value += carry * tl.load(x + rows, mask=inside & (m < M)[None, :], other=0.0)
    if NOISE:
        frame = tl.load(first_frames + batch) + t
        draws = philox.gaussian(tl.load(seeds + batch), frame, noise_step, ROWS, MEL, philox.MEL)
        value += spread * tl.where(inside & (m < M)[None, :], draws, 0.0)
    column = block * COLUMNS + tl.arange(0, COLUMNS)
    w = tl.load(weight + m[:, None] * C + column[None, :])
    sums = tl.dot((c_in * value).to(weight.dtype.element_ty), w, input_precision=PRECISION)
    sums = tl.maximum(sums + tl.load(bias + column)[None, :], 0.0) + tl.load(shift + column)[None, :]
    sums = tl.where(inside, sums, 0.0).to(state.dtype.element_ty)
    out = state + batch * frames * STATE_STRIDE
    tl.store(out + t[:, None] * STATE_STRIDE + column[None, :], sums, mask=(t < frames)[:, None])
    if NOISE:  # one block of columns writes it for all
        written = tl.where(block == 0, frames, 0)
        tl.store(noised + rows, value, mask=(t < written)[:, None] & (m < M)[None, :])


def tile(frames: int, mel_bins: int, channels: int, dtype: torch.dtype, arch: int, batch: int = 1) -> tiles.Tile:
    """Blocks for ``batch`` sequences of ``frames``; all of K at once, and one stage, since there is no loop."""
    depth, width = tiles.power_of_two(mel_bins), dtype.itemsize
    blocks = [tiles.Tile(rows, 64, depth, 4 if rows * width <= 64 else 8, 1) for rows in (16, 32, 64)]
    if width == 4:  # tf32x3 splits an operand in three, which fills the registers
        blocks = [tiles.Tile(16, 64, depth, 8, 1)]
    return min(blocks, key=lambda block: tiles.cost(block, batch * frames, channels, depth, width, arch))


def launch(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    shift: Tensor,
    state: Tensor,
    lengths: Tensor,
    first_frames: Tensor,
    seeds: Tensor,
    block: tiles.Tile,
    c_in: float,
    noise_step: int = 0,
    carry: float = 1.0,
    spread: float = 0.0,
    noised: Tensor | None = None,
    counts: Tensor | None = None,
    precision: str = "tf32x3",
    pdl: bool = False,
) -> Launch:
    """weight [a power of two ≥ M, C], zero below row M; first_frames (absolute) and seeds int64 [B].

    ``noised`` [B, T, M] gets carry·x + spread·noise, which then replaces x; at carry 0 x is not read.
    ``counts`` (int32) of kernels/denoiser/layers.py become zeros.
    """
    if noised is not None and carry and noised.data_ptr() == x.data_ptr() and x.device.type != "meta":
        raise ValueError("noised: must not be x, which other blocks still read")
    batch, frames, mel_bins = x.shape
    channels = weight.shape[1]
    block.check(channels, len(weight))
    check_aligned(
        x=x, weight=weight, bias=bias, shift=shift, state=state, lengths=lengths, first_frames=first_frames, seeds=seeds
    )
    return Launch.of(
        first_kernel,
        (-(-frames // block.rows) * (channels // block.columns), batch),
        block,
        x=x,
        noised=x if noised is None else noised,
        weight=weight,
        bias=bias,
        shift=shift,
        state=state,
        lengths=lengths,
        first_frames=first_frames,
        seeds=seeds,
        counts=lengths if counts is None else counts,
        frames=frames,
        noise_step=noise_step,
        count=0 if counts is None else len(counts),
        c_in=float(c_in),
        carry=float(carry),
        spread=float(spread),
        M=mel_bins,
        MEL=len(weight),
        C=channels,
        STATE_STRIDE=state.stride(1),
        NOISE=noised is not None,
        CARRY=carry != 0,
        CLEAR=counts is not None,
        PRECISION=precision,
        PDL=pdl,
    )


def run(x: Tensor, weight: Tensor, bias: Tensor, shift: Tensor, state: Tensor, lengths: Tensor, **options) -> Tensor:
    """:func:`launch` and start, without noise; state is written and returned."""
    none = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    launch(x, weight, bias, shift, state, lengths, none, none, **options).run()
    return state
