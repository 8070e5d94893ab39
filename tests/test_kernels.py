"""Each kernel against its reference: in the interpreter where there is no GPU, compiled where there is one."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from kernel_check import ARCH, DEVICE, DTYPES, check, doubled, lengths_of, poisoned, random

pytest.importorskip("triton")

from fastsvc.kernels.denoiser import condition, first, gated_conv, head, residual, skip
from fastsvc.kernels.tiles import Tile

BIG = Tile(64, 64, 64, 4, 2)  # few operations, which is what the interpreter's time goes by
EXACT = {"precision": "ieee"}  # float32 products in full; what tf32x3 loses only a GPU shows (test_kernels_gpu.py)
SHAPES = [(1, 1), (3, 37), (1, 65)]  # (batch, frames)


def conv_case(batch, frames, channels, hidden, dtype):
    state = random(batch, frames, channels + hidden, dtype=dtype)
    lengths = lengths_of(batch, frames)
    for row, length in enumerate(lengths):
        state[row, length:] = float("nan")  # what lies beyond the end must not be read
    depth = 3 * channels + hidden
    weight = random(depth, 2 * channels, dtype=dtype, scale=depth**-0.5)
    return state, weight, random(2 * channels), lengths


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "batch, frames, dilation", [(1, 1, 1), (1, 1, 8), (3, 37, 1), (3, 37, 2), (1, 65, 4), (1, 65, 8)]
)
def test_gated_conv(batch, frames, dilation, dtype):
    state, weight, bias, lengths = conv_case(batch, frames, 64, 64, dtype)
    z = poisoned(batch, frames, 64, dtype=dtype)
    gated_conv.run(state, weight, bias, z, lengths, dilation, block=BIG, **EXACT)
    check(z, gated_conv.reference, state, weight, bias, lengths, dilation, depth=len(weight))


@pytest.mark.parametrize("channels, hidden, block", [(384, 128, Tile(64, 256, 64, 8, 2)), (64, 256, None)])
def test_gated_conv_at_real_widths(channels, hidden, block):
    """C 384 is no power of two; and a tile as tile() chooses it. z is a block of columns, its neighbours untouched."""
    state, weight, bias, lengths = conv_case(1, 19, channels, hidden, torch.float16)
    block = block or gated_conv.tile(19, channels, hidden, torch.float16, ARCH)
    z = poisoned(1, 19, 3 * channels, dtype=torch.float16)
    gated_conv.run(state, weight, bias, z[..., channels : 2 * channels], lengths, 1, block=block, **EXACT)
    check(z[..., channels : 2 * channels], gated_conv.reference, state, weight, bias, lengths, 1, depth=len(weight))
    assert z[..., :channels].isnan().all() and z[..., 2 * channels :].isnan().all()


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
def test_gated_conv_saturates_without_nan():
    state, weight, bias, lengths = conv_case(1, 9, 64, 64, torch.float32)
    z = poisoned(1, 9, 64)
    gated_conv.run(state, 1e4 * weight, bias, z, lengths, 1, block=BIG, **EXACT)
    exact = gated_conv.reference(*doubled(state, 1e4 * weight, bias, lengths), 1)
    assert (z - exact).abs().max() < 1e-4  # sums of about 1e4 have errors of 1e-3 before the gates


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch, frames", SHAPES)
@pytest.mark.parametrize("channels", [64, 192])
def test_residual(batch, frames, channels, dtype):
    lengths = lengths_of(batch, frames)
    buffer = random(batch, frames, channels + 64, dtype=dtype)
    z = random(batch, frames, 2 * channels, dtype=dtype)[..., channels:]
    weight, shift = random(channels, channels, dtype=dtype, scale=channels**-0.5), random(channels)
    for row, length in enumerate(lengths):
        buffer[row, length:], z[row, length:] = float("nan"), float("nan")
    state = buffer[..., :channels]
    before, beside = state.clone(), buffer[..., channels:].clone()
    residual.run(state, z, weight, shift, lengths, block=BIG, **EXACT)
    check(state, residual.reference, before, z, weight, shift, lengths, depth=len(weight))
    assert torch.equal(buffer[..., channels:].nan_to_num(), beside.nan_to_num())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch, frames", SHAPES)
@pytest.mark.parametrize("splits", [1, 4])
def test_skip_and_head(batch, frames, splits, dtype):
    """The skip path in one piece or in parts, and D from it: 100 mel bins are no power of two."""
    channels, mel_bins, depth = 64, 100, 256
    lengths = lengths_of(batch, frames)
    z = random(batch, frames, depth, dtype=dtype)
    for row, length in enumerate(lengths):
        z[row, length:] = float("nan")
    weight, bias = random(depth, channels, dtype=dtype, scale=depth**-0.5), random(channels)
    block = Tile(64, 64, 64, 4, 2, splits)
    parts = skip.parts_like(z, channels, block).fill_(float("nan"))
    skip.run(z, weight, bias, parts, lengths, block=block, **EXACT)
    if splits == 1:
        check(parts[0], skip.reference, z, weight, bias, lengths, depth=len(weight))

    last, last_bias = torch.zeros(channels, 128, dtype=dtype), torch.zeros(128)
    last[:, :mel_bins], last_bias[:mel_bins] = random(channels, mel_bins, scale=0.1), random(mel_bins)
    last, last_bias, x = last.to(DEVICE), last_bias.to(DEVICE), random(batch, frames, mel_bins)
    out = poisoned(batch, frames, mel_bins)
    options = {"block": Tile(16, 128, 64, 4, 2, splits), "c_skip": 0.3, "c_out": 0.7, **EXACT}
    head.run(parts, bias, last, last_bias, x, out, lengths, **options)

    def both(z, weight, bias, last, last_bias, x):
        s = skip.reference(z, weight, bias, lengths)
        return head.reference(s, last[:, :mel_bins], last_bias[:mel_bins], x, lengths, 0.3, 0.7).to(x.dtype)

    check(out, both, z, weight, bias, last, last_bias, x, dtype=dtype, depth=depth)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch, frames, mel_bins", [(1, 1, 80), (3, 37, 100), (1, 65, 128)])
def test_first(batch, frames, mel_bins, dtype):
    lengths, x = lengths_of(batch, frames), random(batch, frames, mel_bins)
    for row, length in enumerate(lengths):
        x[row, length:] = float("nan")
    weight = torch.zeros(128, 64, dtype=dtype, device=DEVICE)
    weight[:mel_bins] = random(mel_bins, 64, scale=0.1)
    bias, shift, state = random(64), random(64), poisoned(batch, frames, 128, dtype=dtype)
    first.run(x, weight, bias, shift, state[..., :64], lengths, block=Tile(64, 64, 128, 4, 1), c_in=0.7, **EXACT)
    check(state[..., :64], first.reference, x, weight[:mel_bins], bias, shift, lengths, 0.7, depth=len(weight))
    assert state[..., 64:].isnan().all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "batch, frames, channels, rows", [(1, 1, 64, 0), (3, 37, 70, 0), (1, 65, 192, 0), (1, 1, 64, 734), (3, 37, 70, 251)]
)
def test_condition(batch, frames, channels, rows, dtype):
    """Gathered rows of units, whose channels need not be a multiple of the tile's depth; pulses from ``rows``."""
    hidden, unit_frames = 64, 11
    lengths, units = lengths_of(batch, frames), random(batch, unit_frames, channels, dtype=dtype)
    places = torch.randint(0, unit_frames, (batch, frames), dtype=torch.int32, device=DEVICE)
    scalars = torch.rand(3, batch, frames, device=DEVICE)
    scalars[0] *= 400
    scalars[0, :, ::3] = 0
    for row, length in enumerate(lengths):
        scalars[:, row, length:], places[row, length:] = float("nan"), 2**30
    weight = torch.zeros(-(-channels // 64) * 64, hidden, dtype=dtype, device=DEVICE)
    weight[:channels] = random(channels, hidden, scale=channels**-0.5)
    table = random(rows, hidden, scale=0.05).cumsum(0) / max(1, rows) ** 0.25
    vectors, utterance = torch.cat([random(3, hidden), table]), random(batch, hidden)
    state = poisoned(batch, frames, 128, dtype=dtype)
    condition.run(units, places, weight, scalars, vectors, utterance, state[..., 64:], lengths, block=BIG, **EXACT)

    def reference(units, weight, scalars, vectors, utterance):
        return condition.reference(units, places, weight[:channels], scalars, vectors, utterance, lengths)

    # a GPU's logarithm is 2e-4 of a row off at most
    eps = 2e-5 if rows and dtype == torch.float32 else None
    check(state[..., 64:], reference, units, weight, scalars, vectors, utterance, eps=eps, depth=len(weight))
    assert state[..., :64].isnan().all()


def test_residual_with_a_tile_of_its_own_registers():
    state, z, weight, shift = random(1, 70, 64), random(1, 70, 64), random(64, 64, scale=0.1), random(64)
    before, lengths = state.clone(), lengths_of(1, 70)
    residual.run(state, z, weight, shift, lengths, block=replace(BIG, registers=128), **EXACT)
    check(state, residual.reference, before, z, weight, shift, lengths, depth=len(weight))


def test_what_a_tile_does_not_divide_is_refused():
    state, weight, bias, lengths = conv_case(1, 9, 96, 64, torch.float32)
    with pytest.raises(ValueError, match="does not divide"):
        gated_conv.run(state, weight, bias, poisoned(1, 9, 96), lengths, 1, block=BIG, **EXACT)


def test_misaligned_tensors_are_refused():
    state, weight, bias, lengths = conv_case(1, 9, 64, 64, torch.float32)
    with pytest.raises(ValueError, match="bias"):
        gated_conv.run(state, weight, random(129)[1:], poisoned(1, 9, 64), lengths, 1, block=BIG, **EXACT)
    with pytest.raises(ValueError, match="contiguous"):
        gated_conv.run(state, weight.T.contiguous().T, bias, poisoned(1, 9, 64), lengths, 1, block=BIG, **EXACT)


WITHOUT_TRITON = """
import sys
sys.modules["triton"] = None
import torch
from fastsvc.errors import MissingPackageError
from fastsvc.kernels.denoiser import condition, first, gated_conv, head, network, pack, residual, skip
from fastsvc.kernels.vocoder import conv, generator, pack, residual_unit, source, upsample, waveform
block = gated_conv.tile(9, 64, 64, torch.float32, 90)
given = torch.ones(1, 9, 128), torch.ones(256, 128), torch.ones(128)
lengths = torch.tensor([9], dtype=torch.int32)
assert gated_conv.reference(*given, lengths, 1).shape == (1, 9, 64)
try:
    gated_conv.run(*given, torch.empty(1, 9, 64), lengths, 1, block=block)
except MissingPackageError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.long
def test_without_triton_everything_imports_and_starting_says_why():
    run = subprocess.run([sys.executable, "-c", WITHOUT_TRITON], capture_output=True, text=True)
    assert "running kernels needs the package triton" in run.stdout, run.stderr
