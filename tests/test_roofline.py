"""Estimates of kernels on paper: the work that is counted, the waves, and the page."""

import pytest
import torch

from bench import counts, models, roofline
from fastsvc.build.cubins import page, resources


def test_the_denoisers_launches_do_its_work():
    """Twenty layers by launches are the operations of the lowered form, but for rows and mel bins that are padding."""
    launches = resources.launches(1875, 90, torch.float16)
    times = {"first": 1, "gated_conv": 20, "residual": 19, "skip": 1, "head": 1}
    jobs = {name: roofline.work(name, launches[name]) for name in times}
    flops = sum(times[name] * job.flops for name, job in jobs.items())
    exact = counts.denoiser(models.acoustic(), 1875, 1, 2)
    assert exact.flops < flops < 1.06 * exact.flops
    assert jobs["gated_conv"].steps == 28 and jobs["gated_conv"].programs == 120


def test_a_convolution_loads_its_rows_once_for_all_taps():
    launch = resources.vocoder_launches(1875, 90, torch.float16)["conv 256"]
    job, k = roofline.work("conv 256", launch), launch.constants
    weights = 11 * 256 * k["COLUMNS"] * 2
    assert job.loads == job.programs * (k["ROWS"] * 256 * 2 + weights)


@pytest.mark.parametrize(
    "programs, shared, held, waves",
    [(120, 114688, 1, 1), (133, 114688, 2, 1), (265, 114688, 2, 2), (265, 131072, 1, 3), (1, 0, 1, 1)],
)
def test_waves(programs, shared, held, waves):
    job = roofline.Work(1e9, 1e6, 1e5, 28, programs)
    found = roofline.estimate(job, 2, 90, 128, shared, 8)
    assert (found.held, found.waves) == (held, waves)
    assert found.us > roofline.LAUNCH_US + waves * 2 * roofline.LATENCY_CYCLES / 1e3 / roofline.CLOCK_GHZ[90]


def test_what_bounds_a_launch():
    for job, bound in (
        (roofline.Work(1e12, 1.0, 1.0, 1, 132), "products"),
        (roofline.Work(1.0, 1e9, 1.0, 1, 132), "L2"),
        (roofline.Work(1.0, 1.0, 1.0, 900, 132), "steps"),
    ):
        assert roofline.estimate(job, 2, 90, 128, 0, 8).bound == bound


def test_rows_of_some_kernels_take_the_place_of_theirs():
    old = "| sm_90 | head | fp16 | 94 | 16×128×64 | 4 | 2 | 109 | 33024 | 0 | mma.sync |"
    other = old.replace("| 94 |", "| 1875 |")
    new = old.replace("16×128×64", "16×32×64").replace("| 109 |", "| 80 |")
    assert page.merged(f"# About\n\n{page.TITLES}\n|---|\n{old}\n{other}\n", [new]) == [new, other]
