"""The vocoder's kernels against their references: in the interpreter where there is no GPU, compiled where there is."""

import pytest
import torch
from kernel_check import ARCH, DTYPES, check, doubled, poisoned, random
from torch.nn.functional import conv1d, conv_transpose1d, layer_norm, leaky_relu

pytest.importorskip("triton")

from fastsvc.kernels import tiles
from fastsvc.kernels.tiles import Tile
from fastsvc.kernels.vocoder import conv, pack, residual_unit, upsample, waveform

EXACT = {"precision": "ieee"}
SLOPE = 0.1
ARCHITECTURES = sorted(tiles.SHARED_BYTES)


def square(taps, channels, dtype, columns=None):
    """Weight [taps, C, C'] and bias."""
    columns = columns or channels
    return random(taps, channels, columns, dtype=dtype, scale=(taps * channels) ** -0.5), random(columns)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "batch, frames, channels, columns, taps, dilation",
    [
        (1, 1, 64, 64, 3, 1),
        (2, 37, 64, 128, 7, 3),
        (1, 70, 128, 64, 11, 5),
        (2, 19, 192, 192, 3, 5),
        (1, 9, 16, 16, 7, 1),
    ],
)
def test_conv(batch, frames, channels, columns, taps, dilation, dtype):
    x = random(batch, frames, channels, dtype=dtype)
    weight, bias = square(taps, channels, dtype, columns)
    block = Tile(64, min(columns & -columns, 64), min(channels & -channels, 64), 4, 2)
    out = poisoned(batch, frames, columns, dtype=dtype)
    conv.run(x, weight, bias, out, block=block, dilation=dilation, slope=SLOPE, out_slope=SLOPE, **EXACT)
    check(out, conv.reference, x, weight, bias, dilation, SLOPE, SLOPE, depth=weight[..., 0].numel())


@pytest.mark.parametrize("dtype", DTYPES)
def test_conv_adds_to_a_sum(dtype):
    x, residual, before = (random(2, 41, 64, dtype=dtype) for _ in range(3))
    weight, bias = square(7, 64, dtype)
    given = {"block": Tile(64, 64, 64, 4, 2), "residual": residual, **EXACT}
    out = poisoned(2, 41, 64, dtype=dtype)
    conv.run(x, weight, bias, out, **given)
    check(out, conv.reference, x, weight, bias, 1, 1.0, 1.0, residual, depth=weight[..., 0].numel())
    out = before.clone()
    conv.run(x, weight, bias, out, keep=True, scale=1 / 3, **given)
    check(out, conv.reference, x, weight, bias, 1, 1.0, 1.0, residual, 1.0, before, 1 / 3, depth=weight[..., 0].numel())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bins, channels", [(80, 64), (100, 32), (17, 16)])
def test_the_first_convolution_reads_mels_and_noise_as_they_are(bins, channels, dtype):
    """float32 in, rows of any width; noise has fewer channels than the padded output."""
    depth, kept = -(-bins // 16) * 16, channels - 3
    x, noise = random(2, 33, bins), random(2, 33, kept)
    weight, bias = square(7, depth, dtype, channels)
    out = poisoned(2, 33, channels, dtype=dtype)
    given = {"block": Tile(64, channels, 16, 4, 2), "residual": noise, "gain": 0.3, **EXACT}
    conv.run(x, weight, bias, out, **given)
    check(out, conv.reference, x, weight, bias, 1, 1.0, 1.0, noise, 0.3, depth=weight[..., 0].numel())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "batch, frames, channels, taps, dilation, programs",
    [(1, 1, 16, 11, 5, 1), (2, 150, 32, 7, 3, 2), (1, 54, 64, 11, 1, 1), (3, 63, 16, 3, 5, 9), (1, 65, 128, 3, 1, 1)],
)
def test_residual_unit(batch, frames, channels, taps, dilation, programs, dtype):
    """Several blocks a program, more programs than blocks, blocks that end with the sequence and one row after."""
    x, before = (random(batch, frames, channels, dtype=dtype) for _ in range(2))
    inner, outer = square(taps, channels, dtype), square(taps, channels, dtype)
    block, scratch = Tile(64, channels, min(channels, 64), 4, 2), poisoned(programs, 64, channels, dtype=dtype)
    out = poisoned(batch, frames, channels, dtype=dtype)
    given = {"block": block, "dilation": dilation, "slope": SLOPE, **EXACT}
    residual_unit.run(x, *inner, *outer, scratch, out, **given)
    check(out, residual_unit.reference, x, *inner, *outer, dilation, SLOPE, depth=inner[0][..., 0].numel())
    out = before.clone()
    residual_unit.run(x, *inner, *outer, scratch, out, keep=True, scale=0.5, **given)
    check(out, residual_unit.reference, x, *inner, *outer, dilation, SLOPE, before, 0.5, depth=inner[0][..., 0].numel())


def test_references_are_pytorchs_own():
    x, (weight, bias) = random(2, 29, 16).double(), square(7, 16, torch.float64)
    own = conv1d(leaky_relu(x, SLOPE).mT, weight.permute(2, 1, 0), bias.double(), dilation=3, padding=9).mT
    assert (conv.reference(x, weight, bias.double(), 3, SLOPE) - own).abs().max() < 1e-12
    again = conv1d(leaky_relu(own, SLOPE).mT, weight.permute(2, 1, 0), bias.double(), padding=3).mT + x
    unit = residual_unit.reference(x, weight, bias.double(), weight, bias.double(), 3, SLOPE)
    assert (unit - again).abs().max() < 1e-12
    kernel, weight = up_weight(16, 8, 3, 7, torch.float64)
    own = conv_transpose1d(leaky_relu(x, SLOPE).mT, kernel, stride=3, padding=2).mT
    assert (upsample.reference(x, weight, torch.zeros(8), 2, SLOPE) - own).abs().max() < 1e-12
    excitation, mix = random(2, 29 * 3 * 4).double(), random(8, 8).double()
    branch = conv1d(excitation[:, None], mix.T[:, None], stride=4, padding=2).mT
    with_branch = upsample.reference(x, weight, torch.zeros(8), 2, SLOPE, excitation, mix, torch.zeros(8), 8, 6, True)
    normed = layer_norm(torch.relu(branch[..., :6]), (6,))
    assert (with_branch[..., :6] - own[..., :6] - normed).abs().max() < 1e-12
    assert torch.equal(with_branch[..., 6:], own[..., 6:])


def up_weight(channels, columns, rate, kernel, dtype):
    """A transposed convolution's weight as PyTorch has it, and packed."""
    weight = random(channels, columns, kernel, dtype=dtype, scale=(channels * kernel / rate) ** -0.5)
    taps = -(-kernel // rate)
    packed = torch.nn.functional.pad(weight, (0, taps * rate - kernel)).unflatten(2, (taps, rate))
    return weight, packed.permute(3, 2, 0, 1).contiguous()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "batch, frames, channels, columns, rate, kernel",
    [(2, 19, 32, 64, 8, 16), (1, 1, 64, 64, 2, 4), (1, 37, 64, 16, 3, 7), (2, 5, 16, 32, 4, 4), (1, 9, 32, 192, 2, 8)],
)
def test_upsample(batch, frames, channels, columns, rate, kernel, dtype):
    x, bias = random(batch, frames, channels, dtype=dtype), random(columns)
    _, weight = up_weight(channels, columns, rate, kernel, dtype)
    out = poisoned(batch, frames * rate, columns, dtype=dtype)
    block = Tile(32, min(columns & -columns, 64), min(channels, 64), 4, 2)
    padding = (kernel - rate) // 2
    upsample.run(x, weight, bias, out, block=block, padding=padding, slope=SLOPE, **EXACT)
    check(out, upsample.reference, x, weight, bias, padding, SLOPE, depth=weight[0, ..., 0].numel())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "frames, hop, channels, block_columns, norm",
    [(19, 4, 64, 64, True), (7, 64, 61, 32, True), (9, 1, 61, 16, True), (1, 2, 64, 64, False), (11, 1, 64, 32, False)],
)
@pytest.mark.sampled(3)
def test_upsample_with_its_source(frames, hop, channels, block_columns, norm, dtype):
    """The norm over channels that are padded, and in blocks that have not all of them."""
    rate, columns = 4, 64
    x, excitation = random(2, frames, 32, dtype=dtype), random(2, frames * rate * hop)
    _, weight = up_weight(32, columns, rate, 8, dtype)
    taps = 2 * hop if hop > 1 else 1
    mix = torch.zeros(tiles.power_of_two(taps), columns, dtype=dtype, device=x.device)
    mix[:taps] = random(taps, columns, dtype=dtype, scale=0.5)
    bias, mix_bias = random(columns), random(columns)
    for padded in (weight, bias, mix, mix_bias):
        padded[..., channels:] = 0
    source = {"excitation": excitation, "mix": mix, "mix_bias": mix_bias, "mix_taps": taps, "channels": channels}
    out = poisoned(2, frames * rate, columns, dtype=dtype)
    block = Tile(32, block_columns, 32, 4, 2)
    upsample.run(x, weight, bias, out, block=block, padding=2, slope=SLOPE, **source, norm=norm, **EXACT)
    check(
        out,
        upsample.reference,
        x,
        weight,
        bias,
        2,
        SLOPE,
        excitation,
        mix,
        mix_bias,
        taps,
        channels,
        norm,
        depth=weight[0, ..., 0].numel(),
    )
    assert not out[..., channels:].any()


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch, frames, channels", [(1, 1, 16), (2, 301, 32), (1, 77, 48)])
def test_waveform(batch, frames, channels, dtype):
    x, weight, bias = random(batch, frames, channels, dtype=dtype), random(7, channels, scale=0.1), random(1)
    audio = poisoned(batch, frames)
    waveform.run(x, weight, bias, audio, 0.01)
    check(audio, waveform.reference, x, weight, bias, 0.01, depth=weight.numel())
    waveform.run(x, 1e4 * weight, bias, audio, 0.01)
    exact = waveform.reference(*doubled(x, 1e4 * weight, bias), 0.01)
    assert (audio - exact).abs().max() < 1e-3 and audio.abs().max() <= 1


def test_what_a_unit_cannot_do_is_refused():
    x, weight, bias = random(1, 9, 32), random(3, 32, 32), random(32)
    scratch, given = random(1, 64, 32), {"dilation": 1, "slope": SLOPE}
    block, long = Tile(64, 32, 32, 4, 2), random(35, 32, 32)
    with pytest.raises(ValueError, match="must not be x"):
        residual_unit.run(x, weight, bias, weight, bias, scratch, x, block=block, **given)
    with pytest.raises(ValueError, match="no block"):
        residual_unit.run(x, weight, bias, weight, bias, scratch[:, :32], random(1, 9, 32), block=block, **given)
    with pytest.raises(ValueError, match="too much"):
        residual_unit.run(x, long, bias, long, bias, scratch, random(1, 9, 32), block=block, **given)


def test_padded_channels():
    found = [pack.padded(count) for count in (1, 8, 24, 48, 64, 96, 192, 256)]
    assert found == [16, 16, 32, 64, 64, 128, 192, 256]


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_choice_fits_and_there_are_few(arch, dtype):
    limit, width = tiles.SHARED_BYTES[arch], dtype.itemsize
    seen = {}
    for rows in (1, 64, 100, 512, 1500, 6000, 24000, 65536, 10**6):
        for depth, columns, taps in ((80, 512, 7), (112, 384, 7), (256, 256, 11), (192, 192, 3), (16, 16, 7)):
            found = conv.tile(rows, depth, columns, taps, dtype, arch)
            seen.setdefault(("conv", depth, taps), set()).add(found)
            assert found.divides(columns, depth)
        for depth, columns, rate in ((512, 256, 8), (384, 192, 8), (64, 32, 2), (32, 16, 2)):
            found = upsample.tile(rows, depth, columns, rate, 2, dtype, arch)
            seen.setdefault(("up", depth), set()).add(found)
            assert found.divides(columns, depth)
        for channels in (16, 32, 64, 128):
            found = residual_unit.tile(rows, channels, dtype, arch)
            seen.setdefault(("unit", channels), set()).add(found)
            assert found.columns == channels and found.divides(channels, channels) and found.rows >= 32
            started = residual_unit.programs(rows, 11, 2, found, width, arch)
            assert 1 <= started <= 2 * -(-rows // (found.rows - 10))
    for name, choices in seen.items():
        assert len(choices) <= 4, name
        assert all(tile.shared_bytes(width) <= limit and tile.accumulator_registers <= 128 for tile in choices)


def test_long_inputs_get_large_blocks_and_short_ones_many():
    half = torch.float16
    assert conv.tile(15000, 256, 256, 11, half, 90).rows == 128
    short = conv.tile(94 * 8, 256, 256, 11, half, 90)
    assert -(-752 // short.rows) * (256 // short.columns) >= 90
    assert residual_unit.tile(240000, 32, half, 90).rows == 128 > residual_unit.tile(6000, 64, half, 90).rows
    assert residual_unit.fits(128, 11)
    assert not any(residual_unit.fits(*size) for size in ((192, 3), (256, 3), (32, 17)))


def test_chosen_blocks_compute_the_same():
    """As tile() gives them, for once: the kernels' own block sizes."""
    x, (weight, bias) = random(1, 40, 64, dtype=torch.float16), square(3, 64, torch.float16)
    out = poisoned(1, 40, 64, dtype=torch.float16)
    conv.run(x, weight, bias, out, block=conv.tile(40, 64, 64, 3, torch.float16, ARCH), **EXACT)
    check(out, conv.reference, x, weight, bias, depth=weight[..., 0].numel())
    block = residual_unit.tile(40, 64, torch.float16, ARCH)
    scratch = poisoned(residual_unit.programs(40, 3, 1, block, 2, ARCH), block.rows, 64, dtype=torch.float16)
    given = weight, bias, weight, bias
    residual_unit.run(x, *given, scratch, out.fill_(float("nan")), block=block, dilation=1, slope=SLOPE, **EXACT)
    check(out, residual_unit.reference, x, *given, 1, SLOPE, depth=weight[..., 0].numel())
