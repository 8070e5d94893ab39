"""All layers in one launch, compiled and executed: programs that wait for one another, and what their flags order."""

import re

import pytest
import torch
from ptx import compiled
from ptx.device_memory import RACE
from ptx.launching import Interpreter
from test_kernels_layers import NARROW, case, compare

from fastsvc.kernels.denoiser import layers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), compiled.NEEDED]
DILATIONS, FRAMES = (1, 2), 70


def execute(tmp_path_factory, arch, change=lambda ptx: ptx, programs=None):
    """(the arguments as the kernel leaves them, the state before, the interpreter)."""
    torch.manual_seed(5)
    arguments, counts = case(1, FRAMES, torch.float16, DILATIONS, NARROW)
    before = arguments[0].clone()
    interpreter = Interpreter(compiled.of_session(tmp_path_factory), arch, change)
    options = {"programs": programs, "prefetch": True, "arch": arch}
    interpreter.run(layers.launch(*arguments, counts, DILATIONS, NARROW, 132, **options))
    return arguments, before, interpreter


@pytest.mark.parametrize("arch", [90, pytest.param(80, marks=pytest.mark.long)])
@pytest.mark.parametrize("programs", [4, pytest.param(None, marks=pytest.mark.long)])  # no wait: 4 notices
def test_one_launch(tmp_path_factory, arch, programs):
    """A program for each tile, or fewer, of which some still work on a layer when others begin the next."""
    arguments, before, interpreter = execute(tmp_path_factory, arch, programs=programs)
    interpreter.faults.check()
    compare(arguments, before, DILATIONS)


@pytest.mark.long
@pytest.mark.parametrize("word", ["acquire", "release"])
def test_flags_that_order_nothing_are_noticed(tmp_path_factory, word):
    def relaxed(ptx):
        assert f"gpu.{word}" in ptx
        return ptx.replace(f"gpu.{word}", "gpu.relaxed")

    *_, interpreter = execute(tmp_path_factory, 90, relaxed)
    assert RACE in interpreter.faults.kinds


@pytest.mark.long
def test_a_tile_that_looks_at_one_neighbour_alone_is_noticed(tmp_path_factory):
    """Of the row blocks from low to high the first one, and it goes on whatever it has seen there."""

    def near(ptx):
        high = re.compile(r"(setp\.ge\.\w+\s+%p\d+, (%r\d+), (%r\d+);\s+setp\.le\.s32\s+%p\d+, \2, )%r\d+")
        ptx, count = high.subn(r"\1\3", ptx)
        ptx, loops = re.subn(r"(atom\.global\.gpu\.acquire(?:(?!bra).)*)@%p\d+ bra\s+\S+", r"\1", ptx, flags=re.S)
        assert count == loops == 2
        return ptx

    *_, interpreter = execute(tmp_path_factory, 90, near)
    assert RACE in interpreter.faults.kinds
