"""What it changes that blocks are chosen by each architecture's own L2 cache: stages on paper, before and after."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench import kernel_time, roofline_page
from bench.kernel_time import Compiled
from fastsvc.build.cubins import resources
from fastsvc.kernels import tiles

ARCHITECTURES = (86, 89, 120)  # whose choice was as if LOAD_BYTES were always there
STAGES = [("denoiser", frames) for frames in (94, 188, 375, 938, 1875, 5625)]
STAGES += [(roofline_page.JOINED, 94)] + [("vocoder", frames) for frames in (94, 375, 1024, 1875)]
FACTORS = (1.0, 2 / 3, 1.5)  # of the published rates
SPARE = 80  # registers of a thread besides the sums, about, in blocks that nobody has compiled
TITLES = ("", "stage", "frames", "µs before", "µs after", "change", "with 2/3 of the rate", "with 3/2 of it")
ABOUT = f"""## Blocks chosen by each architecture's own L2 cache
fp16, with blocks as if {tiles.LOAD_BYTES} bytes a cycle were always there (before), and by the published rate
(`kernels/tiles.py`, after); and the change where that rate is two thirds or three halves of what was published. Blocks
that are on no page of compiled kernels are taken to need {SPARE} registers besides their sums. sm_90 was chosen so
before; sm_80 is left, as its change goes both ways, and sm_100, of which no rate was found.
"""


def section(known: dict[str, Compiled]) -> str:
    """The page's section."""
    return f"{ABOUT}\n{roofline_page.table(TITLES, rows(known))}\n"


def rows(known: dict[str, Compiled], archs=ARCHITECTURES, stages=STAGES) -> list[str]:
    lines = []
    for arch in archs:
        for stage, frames in stages:
            after = times(known, arch, frames, stage)
            with _without_rate(arch):
                before = times(known, arch, frames, stage)
            changes = " | ".join(f"{100 * (b / a - 1):+.0f} %" for a, b in zip(before, after))
            lines.append(f"| sm_{arch} | {stage} | {frames} | {before[0]:.0f} | {after[0]:.0f} | {changes} |")
    return lines


def times(known: dict[str, Compiled], arch: int, frames: int, stage: str) -> list[float]:
    """µs of a stage at each of FACTORS, with the blocks that are chosen now."""
    of_stage, found = roofline_page.joined if stage == roofline_page.JOINED else None, []
    known = known | assumed(known, arch, frames, stage)
    for factor in FACTORS:
        with _rate(arch, factor):
            if of_stage:
                found.append(of_stage(known, arch, frames)[0])
            else:
                found.append(roofline_page.stage_us(known, arch, frames, stage)[0])
    return found


def assumed(known: dict[str, Compiled], arch: int, frames: int, stage: str) -> dict[str, Compiled]:
    """Rows for the blocks of a stage that nobody has compiled."""
    launches = (
        resources.launches(frames, arch, resources.TYPES["fp16"]).items()
        if stage == roofline_page.JOINED
        else roofline_page.stages(arch, frames)[stage]
    )
    found = {}
    for name, launch in launches:
        if name == "source":
            continue
        cells = resources.tile_cells(name, "fp16", frames, launch, arch)
        try:
            roofline_page.nearest(known, cells)
        except KeyError:
            k = launch.constants
            rows, columns, depth = k["ROWS"], k.get("COLUMNS", k.get("C")), k["DEPTH"]
            sums = rows * columns // (32 * launch.warps)
            shared = launch.stages * (rows + columns) * depth * 2
            found[cells] = Compiled(min(tiles.REGISTERS, sums + SPARE), shared, launch.warps)
    return found


@contextlib.contextmanager
def _without_rate(arch: int) -> Iterator[None]:
    """Blocks are chosen as if each multiprocessor had all that it can take."""
    chosen = tiles.BY_TRAFFIC
    tiles.BY_TRAFFIC = chosen - {(arch, 2)}
    tiles.choose.cache_clear()
    try:
        yield
    finally:
        tiles.BY_TRAFFIC = chosen
        tiles.choose.cache_clear()


@contextlib.contextmanager
def _rate(arch: int, factor: float) -> Iterator[None]:
    """The estimates' L2 cache is that much as fast."""
    rate = kernel_time.CACHE_RATE[arch]
    kernel_time.CACHE_RATE[arch] = rate * factor
    try:
        yield
    finally:
        kernel_time.CACHE_RATE[arch] = rate
