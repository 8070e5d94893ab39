"""Planted faults that the PTX interpreter must notice: a check that nothing can fail would prove nothing.

One gated convolution with seven steps along K and four stages is compiled once for each architecture and then broken.
"""

import re

import pytest
import torch
from kernel_check import poisoned, random
from ptx import accesses, compiled, copies, device_memory, registers, shared_memory
from ptx.launching import Interpreter

from fastsvc.kernels.denoiser import gated_conv
from fastsvc.kernels.tiles import Tile

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400), compiled.NEEDED]
FRAMES, CHANNELS, DEPTH = 37, 64, 448  # of a product
RIGHT = 2e-3  # most that z differs from its reference in float64, as float16 rounds it
SHARED_FAULTS = {shared_memory.RACE, shared_memory.UNAWAITED, shared_memory.UNWRITTEN, copies.UNAWAITED}
LAZY_FAULTS = {shared_memory.UNAWAITED, registers.READ_EARLY}


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    started = compiled.of_session(tmp_path_factory)
    yield started
    started.close()


@pytest.fixture(scope="module", params=[90, 80])
def broken(request, compiler):
    """A function: (a change of its ``ptx``, of the launch) → (z's error, kinds of faults)."""
    arch = request.param

    def launch(offset=0):
        torch.manual_seed(0)
        state, bias = random(1, FRAMES, DEPTH - 2 * CHANNELS, dtype=torch.float16), random(2 * CHANNELS)
        weight = random(DEPTH, 2 * CHANNELS, dtype=torch.float16, scale=DEPTH**-0.5)
        lengths = torch.tensor([FRAMES], dtype=torch.int32)
        z = poisoned(FRAMES * CHANNELS + 8 * bool(offset), dtype=torch.float16)[offset:][: FRAMES * CHANNELS]
        z = z.view(1, FRAMES, CHANNELS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gated_conv, "check_aligned", lambda **_: None)
            block = Tile(64, 64, 64, 4, 4)
            started = gated_conv.launch(state, weight, bias, z, lengths, 2, block, pdl=arch >= 90)
        return started, gated_conv.reference(state.double(), weight.double(), bias.double(), lengths, 2)

    def run(change=lambda ptx: ptx, offset=0, more=0):
        started, exact = launch(offset)
        started.arguments["frames"] += more
        interpreter = Interpreter(compiler, arch, change)
        interpreter.run(started)
        error = float((started.arguments["z"].double() - exact).abs().max())
        return error, interpreter.faults.kinds

    run.ptx, run.arch = compiler.compile(launch()[0], arch).ptx, arch
    return run


def each(broken, pattern, replacement):
    """The results of runs in which one place of ``pattern`` after the other is replaced."""
    results = []
    for found in re.finditer(pattern, broken.ptx):
        changed = broken.ptx[: found.start()] + replacement(found) + broken.ptx[found.end() :]
        results.append(broken(lambda _, changed=changed: changed))
    return results


def noticed(result):
    error, kinds = result
    return bool(kinds) or not error < RIGHT


def test_the_kernel_as_it_is(broken):
    error, kinds = broken()
    assert error < RIGHT and not kinds
    assert ("wgmma" if broken.arch == 90 else "mma.sync") in broken.ptx and "cp.async" in broken.ptx


def test_barriers_that_are_removed(broken):
    """Each where it orders anything; sm_80 code has one that no path of this shape reaches."""
    results = each(broken, r"bar\.sync\s+0;", lambda found: "")
    assert len(results) >= 4
    assert sum(shared_memory.RACE in kinds for _, kinds in results) >= len(results) - (broken.arch == 80)


@pytest.mark.sampled(2)
def test_copies_that_are_not_awaited(broken):
    """The first wait, and the last; sm_80 code has others on a path that this shape does not take."""
    results = each(broken, r"cp\.async\.wait_group\s+\d+;", lambda found: "")
    assert noticed(results[0]) and noticed(results[-1])
    lazier = each(broken, r"cp\.async\.wait_group\s+(\d+);", lambda found: f"cp.async.wait_group {int(found[1]) + 1};")
    assert noticed(lazier[0]) and noticed(lazier[-1])
    assert {kind for _, kinds in results + lazier for kind in kinds} <= SHARED_FAULTS


def test_products_that_are_not_awaited(broken):
    pattern = r"wgmma\.wait_group\.sync\.aligned\s+(\d+);"
    dropped = each(broken, pattern, lambda found: "")
    lazier = each(broken, pattern, lambda found: f"wgmma.wait_group.sync.aligned {int(found[1]) + 1};")
    assert len(dropped) == (2 if broken.arch == 90 else 0)
    assert all(kinds & LAZY_FAULTS for _, kinds in dropped + lazier)


def test_an_output_shifted_by_one_element(broken):
    assert broken(offset=1)[1] == {device_memory.UNALIGNED}


def test_a_row_too_many(broken):
    assert device_memory.PAST_BOUNDS in broken(more=1)[1]


def test_a_gate_with_the_wrong_sign(broken):
    """e^−g is 2^(−g·log2 e): with log2 e, σ(−g) comes out."""
    error, kinds = broken(lambda ptx: ptx.replace("0fBFB8AA3B", "0f3FB8AA3B"))
    assert error > 100 * RIGHT and not kinds


def test_a_prefetch_beyond_the_weights(broken):
    """Of the code that may begin early."""
    if broken.arch < 90:
        assert "prefetch" not in broken.ptx
        return
    found = re.search(r"prefetch\.global\.L2 \[(%rd\d+)\]", broken.ptx)
    changed = broken.ptx.replace(found[0], found[0].replace("]", "+1048576]"))
    assert broken(lambda _: changed)[1] == {accesses.PREFETCH}


@pytest.mark.sampled(2)
def test_an_operand_read_in_another_order(broken):
    """The matrices of sm_80 without their transposition, the descriptors of sm_90 with another swizzle."""
    if broken.arch == 80:
        changed = broken.ptx.replace("ldmatrix.sync.aligned.m8n8.x4.trans", "ldmatrix.sync.aligned.m8n8.x4")
    else:
        changed = re.sub(r"\b46116862\d{11}\b", lambda found: str(int(found[0]) | 1 << 63), broken.ptx)
    assert changed != broken.ptx and noticed(broken(lambda _: changed))
