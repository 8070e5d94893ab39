"""How many programs a multiprocessor holds, and that a residual unit starts no more than that."""

import re

import pytest
import torch

from fastsvc.build.cubins.page import PAGE
from fastsvc.build.cubins.resources import TYPES
from fastsvc.kernels import occupancy, tiles
from fastsvc.kernels.denoiser import head
from fastsvc.kernels.tiles import Tile
from fastsvc.kernels.vocoder import conv, residual_unit

ROW = re.compile(
    r"\| sm_(\d+) \| residual_unit \d+ \| (\w+) \| \d+ \| (\d+)×(\d+)×(\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|"
)


def compiled_units():
    """(architecture, type, block, registers, shared bytes) of the page's rows of residual units."""
    for arch, kind, *numbers in ROW.findall(PAGE.read_text(encoding="utf-8")):
        rows, columns, depth, warps, stages, registers, shared = map(int, numbers)
        dtype = TYPES[kind]
        block = residual_unit.tile(10**6 if rows >= 64 else 1, columns, dtype, int(arch))
        if block.rows != rows:
            block = residual_unit.tile(1, columns, dtype, int(arch))
        assert (block.rows, block.depth, block.warps, block.stages) == (rows, depth, warps, stages)
        yield int(arch), dtype, block, registers, shared


@pytest.mark.parametrize(
    "shared, registers, warps, arch, held",
    [
        (114688, 172, 8, 90, 1),  # by registers: 176 · 256 are more than half of 65536
        (57344, 128, 8, 90, 2),
        (0, 32, 4, 90, 16),  # by warps
        (0, 16, 1, 90, 32),
        (0, 16, 1, 86, 16),
        (100 * 1024, 32, 4, 86, 0),  # more than one may have
        (98304, 32, 4, 80, 1),
    ],
)
def test_what_a_processor_holds(shared, registers, warps, arch, held):
    assert occupancy.programs(shared, registers, warps, arch) == held


def test_a_units_registers_are_what_it_was_compiled_with():
    units = list(compiled_units())
    assert len(units) > 30 and {arch for arch, *_ in units} == {80, 86, 89, 90, 100, 120}
    wrong = [
        (arch, block, registers)
        for arch, dtype, block, registers, _ in units
        if not registers <= residual_unit.registers(block, dtype.itemsize, arch) <= 1.25 * registers + 48
    ]
    assert wrong == []


def test_no_program_of_a_unit_waits_for_registers():
    """Programs that are not resident begin when others end: their blocks take as long again."""
    for arch, dtype, block, registers, shared in compiled_units():
        started = residual_unit.programs(10**6, 3, 1, block, dtype.itemsize, arch)
        held = occupancy.programs(min(shared, block.shared_bytes(dtype.itemsize)), registers, block.warps, arch)
        assert started <= held * tiles.PROCESSORS[arch], (arch, block, registers)
    large = residual_unit.tile(10**6, 128, torch.float16, 90)  # two by shared memory, one by registers
    assert large.shared_bytes(2) * 2 < tiles.SHARED_BYTES[90]
    assert residual_unit.programs(10**6, 3, 1, large, 2, 90) == tiles.PROCESSORS[90]


@pytest.mark.parametrize("channels, taps", [(256, 11), (128, 3)])
def test_two_blocks_of_an_inner_convolution_share_a_processor_of_sm_90(channels, taps):
    inner = conv.tile(10**5, channels, channels, taps, torch.float16, 90, residual=False)
    assert (inner.rows, inner.columns) == (128, 128)
    assert occupancy.programs(inner.shared_bytes(2), inner.registers or 255, inner.warps, 90) == 2
    outer = conv.tile(10**5, channels, channels, taps, torch.float16, 90)
    assert outer.registers is None, "with a residual it would spill"
    for arch, dtype in ((80, torch.float16), (100, torch.float16), (90, torch.float32)):
        assert conv.tile(10**5, channels, channels, taps, dtype, arch, residual=False).registers is None


@pytest.mark.parametrize("splits", [1, 4, 8])
def test_the_head_is_spread_over_the_device_where_rows_are_few(splits):
    for arch in (80, 90, 120):
        few = head.tile(94, 512, 80, torch.float16, arch, splits=splits)
        assert -(-94 // few.rows) * (128 // few.columns) >= 12, few  # six programs, if each had all mel bins
    many = head.tile(11250, 512, 80, torch.float16, 90, splits=splits)
    assert isinstance(many, Tile) and many.rows * many.columns >= few.rows * few.columns
