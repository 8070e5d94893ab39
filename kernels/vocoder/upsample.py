"""A transposed convolution plus the excitation at its rate: out = up(leaky(x)) + bias + branch(excitation).

The output samples n·rate + phase − padding of one phase are an ordinary convolution over x. Row n of its operand is
[x[n], x[n−1], …]: one product a phase, without zeros in between. The branch is a strided convolution of one channel,
which family m4 rectifies and normalises over channels. Where a block lacks some channels it computes their statistics
again: a branch has only a few taps where the product has thousands.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import conv1d, conv_transpose1d, layer_norm, leaky_relu, pad

from fastsvc.kernels import tiles
from fastsvc.kernels.language import constant, jit, tl
from fastsvc.kernels.launch import Launch, check_aligned
from fastsvc.kernels.vocoder import conv
from fastsvc.kernels.vocoder.activation import leaky

EPS = constant(1e-5)  # of layer_norm, PyTorch's default
TALL_TAPS = 16  # of a branch, beyond which blocks of 128×64 spill on sm_120
SPILLING_WIDTH = 64  # taps of a branch that is one step on sm_80, whose operands are in registers all at once


def reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    padding: int,
    slope: float,
    excitation: Tensor | None = None,
    mix: Tensor | None = None,
    mix_bias: Tensor | None = None,
    mix_taps: int = 0,
    channels: int = 0,
    norm: bool = False,
) -> Tensor:
    """x [B, T, C], weight [rate, taps, C, C'] (tap j·rate + phase), bias [C'], excitation [B, T·rate·hop],
    mix [its taps or more, C'], whose first ``channels`` count for the norm → out [B, T·rate, C']."""
    rate, taps, _, columns = weight.shape
    kernel = weight.permute(2, 3, 1, 0).reshape(weight.shape[2], columns, taps * rate)
    out = conv_transpose1d(leaky_relu(x, slope).transpose(1, 2), kernel, stride=rate)
    frames = x.shape[1] * rate
    out = pad(out, (0, max(0, padding + frames - out.shape[2])))[..., padding : padding + frames]
    out = out.transpose(1, 2) + bias
    if excitation is None:
        return out
    assert mix is not None and mix_bias is not None, "an excitation comes with its mix"
    hop = excitation.shape[1] // frames
    excitation = pad(excitation.to(mix.dtype)[:, None], (hop // 2, mix_taps))
    added = conv1d(excitation, mix[:mix_taps].T[:, None], stride=hop)[..., :frames].transpose(1, 2) + mix_bias
    if norm:
        added = layer_norm(torch.relu(added[..., :channels]), (channels,))
        added = pad(added, (0, columns - channels))
    return out + added


@jit
def branch(
    source,
    weight,
    bias,
    position,
    samples,
    column,
    TAPS: tl.constexpr,
    WIDE: tl.constexpr,
    HOP: tl.constexpr,
    OUT: tl.constexpr,
    NORM: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The branch at output samples ``position`` in some columns, rectified if it is to be normalised."""
    if TAPS == 1:
        at = position * HOP
        e = tl.load(source + at, mask=(at >= 0) & (at < samples), other=0.0)
        value = e[:, None] * tl.load(weight + column).to(tl.float32)[None, :]
    else:
        MOST: tl.constexpr = 1024 // weight.dtype.element_ty.primitive_bitwidth
        DEPTH: tl.constexpr = WIDE if WIDE < MOST else MOST
        j = tl.arange(0, DEPTH)
        value = tl.zeros((position.shape[0], column.shape[0]), tl.float32)
        for step in tl.range(0, WIDE // DEPTH, num_stages=1):
            tap = step * DEPTH + j
            at = position[:, None] * HOP - HOP // 2 + tap[None, :]
            mask = (at >= 0) & (at < samples) & (tap < TAPS)[None, :]
            e = tl.load(source + at, mask=mask, other=0.0).to(weight.dtype.element_ty)
            w = tl.load(weight + tap[:, None] * OUT + column[None, :])
            value = tl.dot(e, w, value, input_precision=PRECISION)
    value += tl.load(bias + column)[None, :]
    return tl.maximum(value, 0.0) if NORM else value


@jit(do_not_specialize=["frames"])
def upsample_kernel(
    x,
    weight,
    bias,
    excitation,
    mix,
    mix_bias,
    out,
    frames,
    C: tl.constexpr,
    OUT: tl.constexpr,
    CHANNELS: tl.constexpr,  # of OUT; the rest are zeros
    RATE: tl.constexpr,
    PADDING: tl.constexpr,
    TAPS: tl.constexpr,
    SLOPE: tl.constexpr,
    MIX_TAPS: tl.constexpr,  # 0: no branch
    WIDE: tl.constexpr,  # MIX_TAPS rounded up
    HOP: tl.constexpr,  # samples of the excitation in one of the output
    NORM: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    TILES: tl.constexpr = OUT // COLUMNS
    batch = tl.program_id(1).to(tl.int64)
    block = tl.program_id(0) % TILES
    phase = tl.program_id(0) // TILES % RATE
    n = tl.program_id(0) // (TILES * RATE) * ROWS + tl.arange(0, ROWS)
    column = block * COLUMNS + tl.arange(0, COLUMNS)
    k = tl.arange(0, DEPTH)
    rows = x + batch * frames * C + n[:, None] * C + k[None, :]
    weights = weight + phase * (TAPS * C * OUT) + k[:, None] * OUT + column[None, :]
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(TAPS * C // DEPTH):
        part, tap = step // TAPS, step % TAPS
        row = n - tap
        mask = ((row >= 0) & (row < frames))[:, None]
        a = tl.load(rows + (part * DEPTH - tap * C), mask=mask, other=0.0, cache_modifier=".ca")
        w = tl.load(weights + (tap * C + part * DEPTH) * OUT)
        sums = tl.dot(leaky(a, SLOPE), w, sums, input_precision=PRECISION)
    value = sums + tl.load(bias + column)[None, :]
    position = n * RATE + phase - PADDING
    if MIX_TAPS > 0:
        samples = frames * RATE * HOP
        source = excitation + batch * samples
        added = branch(source, mix, mix_bias, position, samples, column, MIX_TAPS, WIDE, HOP, OUT, NORM, PRECISION)
        if NORM:  # padded channels are zeros, so sums over all channels are sums over the real ones
            mean = tl.sum(added, axis=1)
            for other in range(1, TILES):
                other_column = (block + other) % TILES * COLUMNS + tl.arange(0, COLUMNS)
                more = branch(
                    source, mix, mix_bias, position, samples, other_column, MIX_TAPS, WIDE, HOP, OUT, NORM, PRECISION
                )
                mean += tl.sum(more, axis=1)
            mean = (mean / CHANNELS)[:, None]
            added = tl.where((column < CHANNELS)[None, :], added - mean, 0.0)
            squares = tl.sum(added * added, axis=1)
            for other in range(1, TILES):
                other_column = (block + other) % TILES * COLUMNS + tl.arange(0, COLUMNS)
                more = branch(
                    source, mix, mix_bias, position, samples, other_column, MIX_TAPS, WIDE, HOP, OUT, NORM, PRECISION
                )
                more = tl.where((other_column < CHANNELS)[None, :], more - mean, 0.0)
                squares += tl.sum(more * more, axis=1)
            added /= tl.sqrt(squares / CHANNELS + EPS)[:, None]
        value += added
    mask = ((position >= 0) & (position < frames * RATE))[:, None]
    written = batch * frames * (RATE * OUT) + position[:, None] * OUT + column[None, :]
    tl.store(out + written, value.to(out.dtype.element_ty), mask=mask)


def tile(
    rows: int, depth: int, columns: int, rate: int, taps: int, dtype: torch.dtype, arch: int, mix_taps: int = 0
) -> tiles.Tile:
    """Blocks for ``rows`` of x in all sequences together, ``depth`` channels in and ``columns`` out, one phase each;
    ``mix_taps``: of the branch."""
    arch, widest = tiles.architecture(arch), 128 if dtype.itemsize == 2 else 64
    block = conv.choose(rows, depth, columns, taps, dtype, arch, widest, rate)
    if block.warps == 8 and block.rows == 128 and tiles.AREA[arch] <= 128 * 128:
        block = replace(block, rows=64)  # the branch's sums take as many registers as the product's
    tall = dtype.itemsize == 2 and (block.rows, block.columns, block.warps) == (128, 64, 4)
    if tall and arch in (120, 121) and mix_taps > TALL_TAPS:
        return replace(block, rows=64)  # likewise
    if arch in (80, 87) and block.warps == 4 and block.rows * block.columns == 64 * 64:
        return replace(block, warps=8)  # with four, ptxas chooses 128 registers, to fit one more program, and spills
    if arch in (80, 87) and block.warps == 8 and dtype.itemsize == 2 and tiles.power_of_two(mix_taps) == SPILLING_WIDTH:
        return replace(block, registers=160)  # likewise
    return block


def launch(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    out: Tensor,
    block: tiles.Tile,
    padding: int,
    slope: float,
    excitation: Tensor | None = None,
    mix: Tensor | None = None,
    mix_bias: Tensor | None = None,
    mix_taps: int = 0,
    channels: int = 0,
    norm: bool = False,
    precision: str = "tf32x3",
) -> Launch:
    """x [B, T, C], weight [rate, taps, C, C'] (tap j·rate + phase of the transposed convolution), out [B, T·rate, C'].

    With ``excitation`` [B, T·rate·hop] float32: mix [taps rounded up to a power of two, C'] of its convolution, zero
    from ``mix_taps`` on; ``channels``: those of C' that are not padding.
    """
    batch, frames, depth = x.shape
    rate, taps, _, columns = weight.shape
    block.check(columns, depth)
    excitation_tensors = {} if excitation is None else {"excitation": excitation, "mix": mix, "mix_bias": mix_bias}
    check_aligned(x=x, weight=weight, bias=bias, out=out, **excitation_tensors)
    rows = (frames * rate - 1 + padding) // rate + 1
    return Launch.of(
        upsample_kernel,
        (-(-rows // block.rows) * rate * (columns // block.columns), batch),
        block,
        x=x,
        weight=weight,
        bias=bias,
        excitation=bias if excitation is None else excitation,
        mix=weight if mix is None else mix,
        mix_bias=bias if mix_bias is None else mix_bias,
        out=out,
        frames=frames,
        C=depth,
        OUT=columns,
        CHANNELS=channels or columns,
        RATE=rate,
        PADDING=padding,
        TAPS=taps,
        SLOPE=float(slope),
        MIX_TAPS=0 if excitation is None else mix_taps,
        WIDE=1 if excitation is None or mix is None else len(mix),
        HOP=1 if excitation is None else excitation.shape[1] // (frames * rate),
        NORM=norm and excitation is not None,
        PRECISION=precision,
    )


def run(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor, **options) -> Tensor:
    """:func:`launch` and start; out is written and returned."""
    launch(x, weight, bias, out, **options).run()
    return out
