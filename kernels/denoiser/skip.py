"""The skip path of all layers in one matrix product over Z [B, T, L·C], whose K is long.

Few blocks cover a short sequence, so K is split over several programs. Each writes its own float32 part of [SPLITS, B,
T, C]; the head adds the parts in a fixed order, then bias and ReLU. With one split this kernel adds bias and ReLU.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.kernels import dependent, tiles
from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.launch import Launch, check_aligned

SPLITS = (1, 2, 4, 8)


def reference(z: Tensor, weight: Tensor, bias: Tensor, lengths: Tensor) -> Tensor:
    """z [B, T, L·C], weight [L·C, C], bias [C], lengths [B] → relu(z·W + b) [B, T, C]."""
    inside = (torch.arange(z.shape[1], device=z.device) < lengths[:, None])[..., None]
    return torch.where(inside, torch.relu(torch.where(inside, z, 0) @ weight + bias), 0)


@jit(do_not_specialize=["frames"])
def skip_kernel(
    z,
    weight,
    bias,
    parts,
    lengths,
    frames,
    C: tl.constexpr,
    LC: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    SPLITS: tl.constexpr,
    PRECISION: tl.constexpr,
    PDL: tl.constexpr,  # kernels/dependent.py
):
    TILES: tl.constexpr = C // COLUMNS
    SHARE: tl.constexpr = LC // SPLITS
    batch = tl.program_id(1).to(tl.int64)
    split = tl.program_id(2)
    first = tl.program_id(0) // TILES * ROWS
    t = first + tl.arange(0, ROWS)
    block = tl.program_id(0) % TILES
    column = block * COLUMNS + tl.arange(0, COLUMNS)
    dependent.begin(weight + split * SHARE * C, block * COLUMNS, SHARE, C, COLUMNS, DEPTH, TILES, PDL)
    length = tl.load(lengths + batch)
    out = parts + (split * tl.num_programs(1) + batch) * frames * C
    element = t[:, None] * C + column[None, :]
    if first >= length:
        tl.store(out + element, tl.zeros((ROWS, COLUMNS), parts.dtype.element_ty), mask=t[:, None] < frames)
        return
    inside = (t < length)[:, None]
    k = split * SHARE + tl.arange(0, DEPTH)
    rows = z + batch * frames * LC + t[:, None] * LC + k[None, :]
    weights = weight + k[:, None] * C + column[None, :]
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(SHARE // DEPTH):
        a = tl.load(rows + step * DEPTH, mask=inside, other=0.0)
        w = tl.load(weights + step * DEPTH * C)
        sums = tl.dot(a, w, sums, input_precision=PRECISION)
    if SPLITS == 1:
        sums = tl.maximum(sums + tl.load(bias + column)[None, :], 0.0)
    tl.store(out + element, tl.where(inside, sums, 0.0).to(parts.dtype.element_ty), mask=t[:, None] < frames)


def tile(frames: int, channels: int, layers: int, dtype: torch.dtype, arch: int, batch: int = 1) -> tiles.Tile:
    """Blocks and splits for ``batch`` sequences of ``frames``."""
    product = batch * frames, channels, layers * channels, dtype.itemsize, arch
    widest = 256 if tiles.architecture(arch) == 90 else 128  # on sm_100 256 keep 96 bytes on the stack
    return tiles.choose(*product, widest=widest, splits=SPLITS)


def parts_like(z: Tensor, channels: int, block: tiles.Tile, allocate: Callable[..., Tensor] = torch.empty) -> Tensor:
    """An output of the right shape and type: float32 parts, or finished values of z's type."""
    dtype = torch.float32 if block.splits > 1 else z.dtype
    return allocate(block.splits, z.shape[0], z.shape[1], channels, dtype=dtype, device=z.device)


def launch(
    z: Tensor,
    weight: Tensor,
    bias: Tensor,
    parts: Tensor,
    lengths: Tensor,
    block: tiles.Tile,
    precision: str = "tf32x3",
    pdl: bool = False,
) -> Launch:
    """z [B, T, L·C] contiguous; parts [SPLITS, B, T, C] as :func:`parts_like` makes it."""
    batch, frames, depth = z.shape
    channels = weight.shape[1]
    block.check(channels, depth)
    check_aligned(z=z, weight=weight, bias=bias, parts=parts, lengths=lengths)
    return Launch.of(
        skip_kernel,
        (-(-frames // block.rows) * (channels // block.columns), batch, block.splits),
        block,
        z=z,
        weight=weight,
        bias=bias,
        parts=parts,
        lengths=lengths,
        frames=frames,
        C=channels,
        LC=depth,
        PRECISION=precision,
        PDL=pdl,
    )


def run(z: Tensor, weight: Tensor, bias: Tensor, parts: Tensor, lengths: Tensor, **options) -> Tensor:
    """:func:`launch` and start; parts is written and returned."""
    launch(z, weight, bias, parts, lengths, **options).run()
    return parts
