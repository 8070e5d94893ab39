"""Kernels compiled ahead of time, without a GPU: nothing spills, everything fits, tensor cores are used.

A representative set, of which `make long` has more; `python -m fastsvc.build.cubins.resources --check` does every
kernel on every architecture.
"""

import re
from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton")

from fastsvc import environment
from fastsvc.build.cubins import compiler, hints, resources
from fastsvc.build.cubins.page import PAGE
from fastsvc.build.cubins.resources import ARCHITECTURES, TYPES, excitation, faults, launches, vocoder_launches
from fastsvc.config import rvc_sizes
from fastsvc.errors import EngineError
from fastsvc.kernels.vocoder import conv

pytestmark = pytest.mark.slow  # about forty kernels are compiled before the first test
# Both kinds of products that most GPUs have; `make long` compiles for all.
COMPILED = ARCHITECTURES if environment.switch("FASTSVC_LONG") else (80, 90)
INSTRUCTION = {80: "mma.sync", 86: "mma.sync", 89: "mma.sync", 90: "wgmma", 100: "tcgen05.mma", 120: "mma.sync"}


@pytest.fixture(scope="module")
def compiled():
    """(operation, architecture) → (launch, cubin): the gated convolution everywhere, the others on one or two.

    "again" is a second residual, compiled by the other process; "plain" is one that cannot begin early.
    """
    cases = [("gated_conv", arch, launches(1875, arch, TYPES["fp16"])["gated_conv"]) for arch in COMPILED]
    cases.append(("pulses", 80, launches(11250, 80, TYPES["fp16"], pulse_rows=734)["condition"]))
    others = launches(94, 90, TYPES["fp16"])
    cases += [(name, 90, others[name]) for name in ("condition", "first", "residual", "skip", "head")]
    cases += [("source", arch, excitation(channels=count)) for arch, count in ((86, 1), (90, 9), (100, 2))]
    cases.append(("residual", 86, launches(1875, 86, TYPES["fp32"])["residual"]))
    cases = [case for case in cases if case[1] in COMPILED]
    again = "again", 90, others["residual"]
    plain = "plain", 90, replace(others["residual"], constants={**others["residual"].constants, "PDL": False})
    in_turn = (len(cases) - [name for name, _, _ in cases].index("residual")) % 2 == 1  # two processes get the jobs
    cases += [again, plain] if in_turn else [plain, again]
    cubins = compiler.compile_kernels([(launch.spec(), arch) for _, arch, launch in cases], processes=2)
    return {(name, arch): (launch, cubin) for (name, arch, launch), cubin in zip(cases, cubins)}


def test_nothing_spills_everything_fits_tensor_cores_are_used(compiled):
    assert [fault for (name, _), (_, cubin) in compiled.items() for fault in faults(name, cubin)] == []


@pytest.mark.parametrize("arch", COMPILED)
def test_gated_conv_uses_the_tensor_cores_of_its_architecture(compiled, arch):
    launch, cubin = compiled["gated_conv", arch]
    assert INSTRUCTION[arch] in cubin.ptx
    assert "cp.async" in cubin.ptx, "loads are not ahead of the products"
    assert f".target sm_{arch}" in cubin.ptx
    block = launch.constants
    operands = launch.stages * (block["ROWS"] + block["COLUMNS"]) * block["DEPTH"] * 2
    assert operands * 0.6 < cubin.shared < operands + 4096  # mma.sync leaves one stage out, barriers take some bytes


def test_what_a_launcher_needs_to_know(compiled):
    launch, cubin = compiled["gated_conv", 90]
    assert cubin.name == "gated_conv_kernel" and cubin.warps == launch.warps and cubin.arch == 90
    assert cubin.parameters[0] == ("state", "*fp16") and cubin.parameters[-1] == ("dilation", "i32")
    declared = re.search(r"\.entry gated_conv_kernel\((.*?)\)", cubin.ptx, re.S)[1].count(".param")
    assert declared == len(cubin.parameters) + 2  # and Triton's two scratch pointers
    assert b"/fastsvc/" not in cubin.code and b".py" not in cubin.code  # no paths of the building machine


@pytest.mark.parametrize("arch", COMPILED)
def test_kernels_wait_before_they_touch_memory_where_they_may_begin_early(compiled, arch):
    """And only then let the next one begin; older architectures have no such instructions."""
    for name in ("gated_conv", "first", "residual", "skip", "head"):
        _, cubin = compiled.get((name, arch), (None, None))
        if cubin is None:
            continue
        assert ("griddepcontrol" in cubin.ptx) == (arch >= 90)
        if arch >= 90:
            before, after = cubin.ptx.split("griddepcontrol.wait")
            assert "prefetch.global.L2" in before and not resources.TOUCHES.search(before)
            assert "griddepcontrol.launch_dependents" in after and resources.TOUCHES.search(after)
            early = after.partition("griddepcontrol.launch_dependents")[0]
            assert not resources.TOUCHES.search(early), "the next kernel could begin earlier"


def test_waiting_takes_no_memory(compiled):
    cubin, plain = compiled["residual", 90][1], compiled["plain", 90][1]
    assert "griddepcontrol" not in plain.ptx
    assert (cubin.shared, cubin.stack) == (plain.shared, plain.stack) and cubin.registers <= plain.registers + 4


def test_a_kernel_that_does_not_wait_first_is_a_fault(compiled):
    cubin = compiled["residual", 90][1]
    late = cubin.ptx.replace("griddepcontrol.wait", "", 1) + "griddepcontrol.wait"
    assert any("before it waits" in fault for fault in faults("residual", replace(cubin, ptx=late)))


def test_compiling_is_deterministic(compiled):
    assert compiled["residual", 90][1] == compiled["again", 90][1]


def test_a_failing_kernel_is_an_error_with_its_reason(compiled):
    spec = compiled["residual", 90][0].spec()
    with pytest.raises(EngineError, match="takes"):
        compiler.compile_kernels([({**spec, "signature": {}}, 90)])


def test_the_page_shows_the_blocks_that_are_chosen():
    """If not: python -m fastsvc.build.cubins.resources --check."""
    table = PAGE.read_text(encoding="utf-8")
    assert [case for case in resources.table_cases(ARCHITECTURES) if resources.tile_cells(*case) not in table] == []


def inner_conv():
    """A unit's first convolution as sm_90 gets it: two blocks a multiprocessor."""
    x, weight, bias = (
        torch.empty(*shape, dtype=torch.float16, device="meta") for shape in ((1, 15000, 256), (11, 256, 256), (256,))
    )
    block = conv.tile(15000, 256, 256, 11, torch.float16, 90, residual=False)
    assert block.registers == conv.PAIRED_REGISTERS
    return conv.launch(x, weight, bias.float(), torch.empty_like(x), block, 3, 0.1, 0.1)


@pytest.fixture(scope="module")
def vocoder():
    """The vocoder's kernels at full size: the wide and the narrow on one architecture, the fused unit everywhere."""
    cases = [("residual_unit 64", arch, vocoder_launches(1875, arch, TYPES["fp16"])) for arch in COMPILED]
    here = vocoder_launches(1875, 90, TYPES["fp16"])
    cases += [(name, 90, here) for name in ("upsample 256", "conv 256", "waveform")]
    cases.append(("upsample 256", 86, vocoder_launches(1875, 86, TYPES["fp16"])))
    # RVC's: kernels that are no multiple of rates of 10 and 12, a branch of 64 taps
    inner = inner_conv()
    cases.append(("conv inner", 90, {"conv inner": inner}))
    for name, arch, size in (
        ("upsample 128", 86, "40k"),
        ("upsample 128", 90, "v2 48k"),
        ("upsample 256", 80, "v2 32k"),
    ):
        config = rvc_sizes.generator(size)
        cases.append((name, arch, vocoder_launches(1024, arch, TYPES["fp16"], batch=6, config=config)))
    cases = [case for case in cases if case[1] in COMPILED]
    cubins = compiler.compile_kernels([(launches[name].spec(), arch) for name, arch, launches in cases], processes=2)
    return {(name, arch): (launches[name], cubin) for (name, arch, launches), cubin in zip(cases, cubins)}


def test_the_vocoders_kernels_fit_and_use_tensor_cores(vocoder):
    assert [fault for (name, _), (_, cubin) in vocoder.items() for fault in faults(name, cubin)] == []
    for arch in COMPILED:
        assert INSTRUCTION[arch] in vocoder["residual_unit 64", arch][1].ptx
    assert INSTRUCTION[90] in vocoder["upsample 256", 90][1].ptx and INSTRUCTION[90] in vocoder["conv 256", 90][1].ptx


def test_the_cache_hints_of_loads_reach_the_code(vocoder):
    """Rows that several taps read stay in the multiprocessor's own cache (.ca); Triton before 3.9 drops the hint, and
    each tap reads them from the L2 cache."""
    assert hints.why_none(hints.version()) is None
    lost = [name for name, (_, cubin) in vocoder.items() if "cp.async.ca.shared.global" not in cubin.ptx]
    assert [name for name, _ in lost if name != "waveform"] == []


def test_large_blocks_of_the_gated_convolution_keep_their_rows(compiled):
    """Its taps read the same rows; small blocks read them from the L2 cache each time, and weights come once anyway."""
    for (name, arch), (launch, cubin) in compiled.items():
        if name == "gated_conv":
            assert ("cp.async.ca.shared.global" in cubin.ptx) == (launch.constants["ROWS"] >= 64), arch
            assert "cp.async.cg.shared.global" in cubin.ptx


@pytest.mark.parametrize("arch", COMPILED)
def test_a_units_inner_rows_are_written_before_they_are_read(vocoder, arch):
    """All stores to the scratch, then a barrier of the whole program, then its loads; and one before the next block."""
    code = vocoder["residual_unit 64", arch][1].ptx
    words = re.findall(r"st\.global|bar\.sync|barrier\.sync|cp\.async\.ca|ld\.global", code)
    kinds = ["store" if w == "st.global" else "barrier" if "bar" in w else "load" for w in words]
    first = kinds.index("store")
    assert "load" in kinds[:first], "the inner convolution reads x"
    after = first + next(i for i, kind in enumerate(kinds[first:]) if kind != "store")
    assert kinds[after] == "barrier" and "load" in kinds[after:], kinds[first : after + 3]
    last = len(kinds) - 1 - kinds[::-1].index("store")
    assert "barrier" in kinds[last:]
