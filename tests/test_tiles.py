"""Block sizes: they fit every device, are many for short inputs and large for long ones."""

import pytest
import torch

from fastsvc.kernels import tiles
from fastsvc.kernels.denoiser import condition, first, gated_conv, head, layers_tile, residual, skip
from fastsvc.kernels.tiles import Tile
from fastsvc.kernels.vocoder import upsample

ARCHITECTURES = sorted(tiles.SHARED_BYTES)
FRAMES = (1, 17, 94, 188, 1875, 11250)


def test_arithmetic():
    tile = Tile(rows=128, columns=128, depth=64, warps=8, stages=4)
    assert tile.shared_bytes(2) == 4 * (128 + 128) * 64 * 2 == 131072
    assert tile.accumulator_registers == 64
    assert tile.divides(256, 192) and not tile.divides(192, 192) and not tile.divides(256, 96)
    assert not Tile(128, 128, 64, 8, 4, splits=2).divides(256, 192)
    assert [tiles.power_of_two(n) for n in (1, 16, 80, 100, 128, 129)] == [16, 16, 128, 128, 128, 256]


def test_cost_counts_waves():
    """[1280, K] @ [K, 128] in blocks of 128 is ten programs: one wave of ten processors, two of nine."""
    tile = Tile(128, 128, 64, 8, 4)
    ten, nine = (tiles.cost(tile, 1280, 128, 512, 2, 90, processors) for processors in (10, 9))
    assert nine == 2 * ten
    assert tiles.cost(tile, 1280, 128, 1024, 2, 90, 10) < 2 * ten  # filling the pipeline is paid once


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_choice_fits(arch, dtype):
    limit, width = tiles.SHARED_BYTES[arch], dtype.itemsize
    for frames in FRAMES:
        for batch, channels, hidden, mel_bins in ((1, 384, 128, 100), (1, 512, 256, 80), (8, 768, 256, 128)):
            shape = {"dtype": dtype, "arch": arch, "batch": batch}
            chosen = {
                (2 * channels, 3 * channels + hidden): gated_conv.tile(frames, channels, hidden, **shape),
                (channels, channels): residual.tile(frames, channels, **shape),
                (channels, 20 * channels): skip.tile(frames, channels, 20, **shape),
                (hidden, 768): condition.tile(frames, 768, hidden, **shape),
            }
            for (columns, depth), tile in chosen.items():
                assert tile.divides(columns, depth), (tile, columns, depth)
                assert tile.shared_bytes(width) <= limit and tile.accumulator_registers <= 128
            last = head.tile(frames, channels, mel_bins, splits=8, **shape)
            assert head.shared_bytes(last, dtype) <= limit and channels % last.depth == 0
            assert first.tile(frames, mel_bins, channels, **shape).shared_bytes(width) <= limit


def programs(tile, rows, columns):
    return -(-rows // tile.rows) * (columns // tile.columns) * tile.splits


def test_short_inputs_use_much_of_the_chip_and_long_ones_large_blocks():
    half, fp16 = torch.float16, 90
    for frames in (94, 188):
        assert programs(gated_conv.tile(frames, 512, 256, half, fp16), frames, 1024) >= 80
        assert programs(skip.tile(frames, 512, 20, half, fp16), frames, 512) >= 64  # fewer would read less, alone
    ten_seconds = gated_conv.tile(1875, 512, 256, half, fp16)
    assert (ten_seconds.rows, ten_seconds.columns) == (128, 128)
    assert programs(ten_seconds, 1875, 1024) == 120  # one wave of 132 processors
    minute = gated_conv.tile(11250, 512, 256, half, fp16)
    assert minute.rows * minute.columns >= 128 * 128
    assert skip.tile(11250, 512, 20, half, fp16).splits <= 2


def read_bytes(tile, rows, columns, depth, width=2):
    """From the L2 cache, by all programs."""
    return programs(tile, rows, columns) // tile.splits * (tile.rows + tile.columns) * depth * width


def test_what_saves_traffic_is_chosen():
    """Ten seconds of the skip path: larger blocks and K in more parts read less than 128 × 128 would, in one wave."""
    half = torch.float16
    tile = skip.tile(1875, 512, 20, half, 90)
    assert (tile.rows, tile.columns) == (128, 256) and programs(tile, 1875, 512) <= 132
    smaller = Tile(128, 128, 64, 8, 4, splits=2)
    assert read_bytes(tile, 1875, 512, 10240) < 0.8 * read_bytes(smaller, 1875, 512, 10240)


def test_few_programs_share_the_cache():
    assert tiles.cache_rate(132, 90, 2) == tiles.L2_BYTES[90] == tiles.cache_rate(1000, 90, 2)
    assert tiles.cache_rate(66, 90, 2) == 2 * tiles.L2_BYTES[90] and tiles.cache_rate(1, 90, 2) == tiles.LOAD_BYTES
    assert tiles.cache_rate(148, 100, 2) == tiles.LOAD_BYTES  # without a figure
    assert tiles.cache_rate(170, 120, 2) == tiles.L2_BYTES[120] and tiles.cache_rate(170, 120, 4) == tiles.LOAD_BYTES


@pytest.mark.parametrize("arch", [86, 89, 120])
def test_each_architecture_has_its_own_choice(arch, monkeypatch):
    """GeForce's cards give a multiprocessor half of what an H100 gives: blocks that read less, of 16 bits alone."""

    def chosen(dtype):
        tiles.choose.cache_clear()
        return [skip.tile(frames, 512, 20, dtype, arch) for frames in (94, 375, 1875, 5625)]

    exact, by_traffic = chosen(torch.float32), chosen(torch.float16)
    monkeypatch.setattr(tiles, "BY_TRAFFIC", tiles.BY_TRAFFIC - {(arch, 2)})
    before = chosen(torch.float16)
    assert chosen(torch.float32) == exact
    tiles.choose.cache_clear()
    for frames, less, more in zip((94, 375, 1875, 5625), by_traffic, before):
        assert read_bytes(less, frames, 512, 10240) < 0.75 * read_bytes(more, frames, 512, 10240)


def test_rows_that_stay_in_the_processors_cache_cost_less():
    tile = Tile(128, 128, 64, 8, 4)
    every, some = (tiles.cost(tile, 1875, 1024, 1792, 2, 90, fresh=share) for share in (1.0, 768 / 1792))
    assert some < 0.85 * every
    assert tiles.cost(tile, 1875, 1024, 1792, 2, 90, fresh=0.0) >= 1500 + 28 * 128 * 128 * 64 / 2048


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_all_layers_in_one_launch_are_offered_for_short_inputs(arch, dtype):
    processors, limit = tiles.PROCESSORS[arch], tiles.SHARED_BYTES[arch]
    for frames, batch in ((1, 1), (94, 1), (64, 2)):
        tile = layers_tile.tile(frames, 512, 256, dtype, arch, batch)
        if tile is None:  # few processors, and float32's blocks are small
            assert processors < 100 and frames > 1, (frames, batch)
            continue
        tiles_each = programs(tile, -(-frames // tile.rows) * tile.rows * batch, 1024)
        assert tiles_each <= processors and tile.shared_bytes(dtype.itemsize) <= limit
        assert tile.divides(1024, 256) and 512 % tile.narrow == 0 and tile.narrow <= 2 * tile.rows
    assert layers_tile.tile(513, 512, 256, dtype, arch) is layers_tile.tile(64, 512, 256, dtype, arch, 9) is None


def test_cycles_of_dilations():
    cycle = layers_tile.cycle
    assert cycle((1, 1, 1)) == 1 and cycle((1, 2, 4, 1)) == 3 and cycle((1, 2)) == 2
    assert cycle((1, 3)) is None and cycle((2, 2)) is None and cycle((1, 2, 2)) is None


def test_architectures():
    assert tiles.architecture(90) == 90
    assert tiles.architecture(88) == 87 and tiles.architecture(130) == 121
    with pytest.raises(ValueError, match="sm_80"):
        tiles.architecture(75)
    with pytest.raises(ValueError, match="no tile"):
        tiles.choose(64, 24, 64, 2, 90)


def test_blocks_that_spill_on_sm_120_are_not_chosen():
    """As compiled: a head of four warps keeps 16 bytes on the stack, 128 rows with a wide branch 48."""
    last = head.tile(11250, 512, 80, torch.float16, 120, splits=4)
    assert (last.rows, last.columns, last.warps) == (32, 128, 8)
    wide, narrow = (upsample.tile(1024, 384, 192, 8, 2, torch.float16, 120, taps) for taps in (32, 4))
    assert (wide.rows, wide.columns) == (64, 64) and (narrow.rows, narrow.columns) == (128, 64)
