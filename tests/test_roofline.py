"""Estimates of kernels on paper: the work that is counted, the waves, instructions, and the page."""

import pytest
import torch

from bench import counts, kernel_time, models, roofline_choice, roofline_page, sass
from bench.kernel_time import Compiled, estimate
from bench.kernel_work import Work, phases, work
from fastsvc.build.cubins import page, resources
from fastsvc.kernels import tiles


def test_the_denoisers_launches_do_its_work():
    """Twenty layers by launches are the operations of the lowered form, but for rows and mel bins that are padding."""
    launches = resources.launches(1875, 90, torch.float16)
    times = {"first": 1, "gated_conv": 20, "residual": 19, "skip": 1, "head": 1}
    jobs = {name: work(launches[name]) for name in times}
    flops = sum(times[name] * job.flops for name, job in jobs.items())
    exact = counts.denoiser(models.acoustic(), 1875, 1, 2)
    assert exact.flops < flops < 1.06 * exact.flops
    assert jobs["gated_conv"].steps == 28 and jobs["gated_conv"].programs == 120


def test_rows_are_read_once_for_all_taps():
    """With the rows that the outer taps reach; weights once a program."""
    launch = resources.launches(1875, 90, torch.float16)["gated_conv"]
    job, rows, columns = work(launch), 128, 128
    assert job.loads == 120 * 2 * ((rows + 2) * 512 + rows * 256 + columns * 1792)
    launch = resources.vocoder_launches(1875, 90, torch.float16)["conv 256"]
    job, k = work(launch), launch.constants
    halo = 10 * launch.arguments["dilation"]
    read = (k["ROWS"] + halo) * 256 + 11 * 256 * k["COLUMNS"]
    extra = k["ROWS"] * k["COLUMNS"] * (bool(k["RESIDUAL"]) + launch.arguments["keep"])
    assert job.loads == job.programs * 2 * (read + extra)


def test_all_layers_in_one_launch_are_the_same_work():
    launches = resources.launches(94, 90, torch.float16)
    (conv, convs), (residual, residuals) = phases(launches["layers"])
    assert (convs, residuals) == (20, 19)
    rows = 32 * -(-94 // launches["layers"].constants["ROWS"]) * launches["layers"].constants["ROWS"] // 32
    assert conv.flops == 2 * rows * 1024 * 1792 and residual.flops == 2 * rows * 512 * 512
    assert work(launches["layers"]).flops == 20 * conv.flops + 19 * residual.flops
    compiled = Compiled(96, 24576, 4)
    us = kernel_time.joined_us(launches["layers"], 2, 90, compiled, (None, None))
    flags_us = 39 * kernel_time.FLAG_CYCLES / 1e3 / kernel_time.CLOCK_GHZ[90]
    assert us > flags_us + kernel_time.LAUNCH_US
    weights_us = (20 * conv.weights + 19 * residual.weights) / 1e3 / kernel_time.MEMORY_GBS[90]
    assert us > weights_us > 20


@pytest.mark.parametrize(
    "programs, shared, held, waves",
    [(120, 114688, 1, 1), (133, 114688, 2, 1), (265, 114688, 2, 2), (265, 131072, 1, 3), (1, 0, 1, 1)],
)
def test_waves(programs, shared, held, waves):
    job = Work(1e9, 1e6, 1e5, 0, 0, 28, programs)
    found = estimate(job, 2, 90, Compiled(128, shared, 8))
    assert (found.held, found.waves) == (held, waves)
    latencies_us = waves * 2 * kernel_time.LATENCY_CYCLES / 1e3 / kernel_time.CLOCK_GHZ[90]
    assert found.us > kernel_time.LAUNCH_US + latencies_us


def test_what_bounds_a_launch():
    many = sass.Code({}, {"other": 1_000_000})
    touching = sass.Code({}, {sass.SHARED: 1e9})
    for job, bound, code in (
        (Work(1e12, 1.0, 1.0, 0, 0, 1, 132), "products", None),
        (Work(1.0, 1e9, 1.0, 0, 0, 1, 132), "L2", None),
        (Work(1.0, 1.0, 1.0, 0, 0, 900, 132), "steps", None),
        (Work(1.0, 1.0, 1.0, 1e9, 0, 1, 132), "memory", None),
        (Work(1.0, 1.0, 1.0, 0, 2e9, 1, 132), "memory", None),
        (Work(1.0, 1.0, 1.0, 0, 1e6, 1, 132), "steps", None),  # rows that the L2 cache holds
        (Work(1.0, 1.0, 1.0, 0, 0, 1, 132), "issue", many),
        (Work(1.0, 1.0, 1.0, 0, 0, 1, 132), "shared", touching),
    ):
        assert estimate(job, 2, 90, Compiled(128, 0, 8, code)).bound == bound


def test_fewer_programs_get_more_of_the_cache():
    """Of 66 programs each reads twice as fast as of 132, and none faster than a multiprocessor can."""
    times = [estimate(Work(1.0, 1e6 * n, 0, 0, 0, 1, n), 2, 90, Compiled(128, 0, 8)).us for n in (132, 66, 33)]
    fixed = kernel_time.LAUNCH_US + 2 * kernel_time.LATENCY_CYCLES / 1e3 / kernel_time.CLOCK_GHZ[90]
    whole, half, quarter = (us - fixed for us in times)
    assert half == pytest.approx(whole / 2) and quarter == pytest.approx(whole * 30 / 64)


def test_a_row_without_its_own_has_the_nearest():
    rows = {
        "| sm_80 | conv 64 | fp16 | 94 | 64×64×64 | 4 | 4 |": 1,
        "| sm_86 | conv 64 | fp16 | 94 | 64×64×64 | 4 | 4 |": 2,
        "| sm_86 | conv 256 | fp16 | 1875 | 64×64×64 | 4 | 4 |": 3,
    }
    found = roofline_page.nearest(rows, "| sm_86 | conv 256 | fp16 | 94 | 64×64×64 | 4 | 4 |")
    assert found == 3 and roofline_page.nearest(rows, "| sm_86 | conv 128 | fp16 | 94 | 64×64×64 | 4 | 4 |") == 2
    assert roofline_page.nearest(rows, "| sm_90 | conv 128 | fp16 | 94 | 64×64×64 | 4 | 4 |") == 1
    with pytest.raises(KeyError):
        roofline_page.nearest(rows, "| sm_86 | conv 256 | fp32 | 94 | 64×64×64 | 4 | 4 |")


def test_rows_of_some_kernels_take_the_place_of_theirs():
    old = "| sm_90 | head | fp16 | 94 | 16×128×64 | 4 | 2 | 109 | 33024 | 0 | mma.sync |"
    other = old.replace("| 94 |", "| 1875 |")
    new = old.replace("16×128×64", "16×32×64").replace("| 109 |", "| 80 |")
    assert page.merged(f"# About\n\n{page.TITLES}\n|---|\n{old}\n{other}\n", [new]) == [new, other]


def test_what_the_choice_of_blocks_changes_is_told():
    """Before, after, and the change at three rates; what is set for that is set back."""
    known, chosen, rates = roofline_page.compiled_rows(), tiles.BY_TRAFFIC, dict(kernel_time.CACHE_RATE)
    for stage in (("denoiser", 375), (roofline_page.JOINED, 94)):
        (row,) = roofline_choice.rows(known, (86,), [stage])
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        before, after = map(float, cells[3:5])
        assert cells[:3] == ["sm_86", stage[0], str(stage[1])] and after < 0.9 * before
        assert all(cell.startswith("-") and cell.endswith(" %") for cell in cells[5:])
        assert int(cells[5][:-2]) == pytest.approx(100 * (after / before - 1), abs=1)
    assert tiles.BY_TRAFFIC is chosen and rates == kernel_time.CACHE_RATE
    assert kernel_time.CACHE_RATE.items() >= tiles.L2_BYTES.items()
