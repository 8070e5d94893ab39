"""What each kernel must cost on each GPU, from its work and its compiled code, as a page beside the other results.

    python bench/roofline.py

Operations and bytes are counted from the launches, registers and shared memory are those of bench/results/kernels.md,
and times come from the constants below. No kernel is started or compiled. Estimates have not been compared with a GPU.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import math
from dataclasses import dataclass
from pathlib import Path

from bench import program

PAGE = Path(__file__).parent / "results" / "roofline.md"
CLOCK_GHZ = {80: 1.41, 86: 1.70, 89: 2.52, 90: 1.75, 100: 1.85, 120: 2.41}  # boost clocks as NVIDIA states them
# Bytes a cycle that a multiprocessor gets from the L2 cache while all of them read: microbenchmarks of the H100 have
# about 30; the others are taken to be like it, GeForce's to have half of it.
L2_BYTES = {80: 30, 86: 16, 89: 16, 90: 30, 100: 30, 120: 16}
LATENCY_CYCLES = 600  # from the first load to the first product, and from the last product to the last store
STEP_CYCLES = 60  # of one step along K: barriers and the wait for a stage
LAUNCH_US = 1.3  # between two kernels of one graph, of which the second waits for the first
# What the estimates may be off by, each way: the L2 cache's rate, the latencies and the launch by half, products by a
# tenth.
LOW, HIGH = 0.75, 1.5


@dataclass(frozen=True)
class Work:
    """Of one launch. ``loads``: bytes that its programs read from the L2 cache, each on its own; ``steps`` along K of
    one program, of which a launch has ``programs``."""

    flops: float
    loads: float
    stores: float
    steps: int
    programs: int


def work(name: str, launch) -> Work:
    """Of a launch of fastsvc.kernels: rows that are loaded for several taps are counted once where the
    multiprocessor's own cache keeps them."""
    k, programs = launch.constants, math.prod(launch.grid)
    kind = name.partition(" ")[0]
    tensors = {key: value for key, value in launch.arguments.items() if hasattr(value, "element_size")}
    width = next((tensors[key].element_size() for key in ("weight", "inner") if key in tensors), 4)
    rows, columns, depth = k.get("ROWS", 0), k.get("COLUMNS", k.get("C", 0)), k.get("DEPTH", k.get("MEL", 0))
    if kind in ("source", "waveform"):
        samples, taps = k["SAMPLES"], k.get("TAPS", 1) * k.get("C", k.get("CHANNELS", 1))
        each = 60 if kind == "source" else 2
        return Work(
            programs * samples * taps * each, programs * samples * taps * 2, programs * samples * 4, 1, programs
        )
    if kind == "residual_unit":
        c, taps = k["C"], k["TAPS"]
        frames, batch = launch.arguments["frames"], launch.arguments["batch"]
        blocks = batch * -(-frames // (rows - taps + 1))
        steps = 2 * taps * c // depth * -(-blocks // programs)
        weights = 2 * taps * c * c * width
        return Work(
            4.0 * blocks * rows * taps * c * c,
            blocks * (weights + 2 * rows * c * width + taps * rows * c * width),
            blocks * 2 * rows * c * width,
            steps,
            programs,
        )
    inner = {
        "condition": lambda: k["U"],
        "first": lambda: k["MEL"],
        "gated_conv": lambda: 2 * k["C"] + k["STATE_STRIDE"],
        "residual": lambda: k["C"],
        "skip": lambda: k["LC"] // k["SPLITS"],
        "head": lambda: k["C"],
        "conv": lambda: k["TAPS"] * k["C"],
        "upsample": lambda: k["TAPS"] * k["C"],
    }[kind]()
    read = {"conv": k.get("C", 0), "upsample": k.get("C", 0)}.get(kind, inner)  # columns of rows from the L2 cache
    operand = 4 * k["SPLITS"] if kind == "head" and k["SPLITS"] > 1 else width
    loads = programs * (rows * read * operand + columns * inner * width)
    stores = (
        programs
        * rows
        * (columns // 2 if kind == "gated_conv" else columns)
        * (4 if kind in ("head", "skip") else width)
    )
    return Work(2.0 * programs * rows * columns * inner, loads, stores, max(1, inner // depth), programs)


@dataclass(frozen=True)
class Estimate:
    held: int  # programs of one multiprocessor at once
    waves: int
    bound: str  # what takes longest within a wave
    us: float


def estimate(job: Work, width: int, arch: int, registers: int, shared: int, warps: int) -> Estimate:
    """A launch's time, the gap to the launch before included."""
    from fastsvc.kernels import occupancy
    from fastsvc.kernels.tiles import PROCESSORS, TENSOR_RATE

    processors = PROCESSORS[arch]
    fits = max(1, occupancy.programs(shared, registers, warps, arch))
    held = min(fits, -(-job.programs // processors))
    waves = -(-job.programs // (processors * held))
    multiply = held * job.flops / job.programs / (2 * TENSOR_RATE[arch] * 2 / width)
    move = held * (job.loads + job.stores) / job.programs / L2_BYTES[arch]
    steps = job.steps * STEP_CYCLES
    parts = {"products": multiply, "L2": move, "steps": steps}
    bound = max(parts, key=lambda key: parts[key])
    cycles = waves * (2 * LATENCY_CYCLES + parts[bound])
    return Estimate(held, waves, bound, cycles / (1e3 * CLOCK_GHZ[arch]) + LAUNCH_US)


def compiled_rows() -> dict[str, tuple[int, int]]:
    """{the first half of a row of bench/results/kernels.md: (registers, shared bytes)}."""
    from fastsvc.build.cubins import page

    rows = {}
    for line in page.PAGE.read_text(encoding="utf-8").splitlines():
        cells = line.split(" | ")
        if line.startswith("| sm_"):
            rows[" | ".join(cells[:-4]) + " |"] = int(cells[-4]), int(cells[-3])
    return rows


def rows(archs=None) -> list[str]:
    """The table's lines; a kernel whose block is not on the page of compiled kernels says so."""
    from fastsvc.build.cubins import resources

    known, lines = compiled_rows(), []
    for name, kind, frames, launch, arch in resources.table_cases(archs or resources.ARCHITECTURES):
        cells = resources.tile_cells(name, kind, frames, launch, arch)
        job = work(name, launch)
        start = (
            f"| sm_{arch} | {name} | {kind} | {frames} | {job.flops / 1e9:.3f} | {(job.loads + job.stores) / 1e6:.2f} |"
        )
        if cells not in known:
            lines.append(f"{start} not compiled | – | – | – | – | – |")
            continue
        registers, shared = known[cells]
        width = 4 if kind == "fp32" else 2
        found = estimate(job, width, arch, registers, shared, launch.warps)
        lines.append(
            f"{start} {registers} | {shared} | {job.programs} in {found.waves} × {found.held} | {found.bound} |"
            f" {found.us:.1f} | {LOW * found.us:.1f} – {HIGH * found.us:.1f} |"
        )
    return lines


def main() -> None:
    program.parser(__doc__).parse_args()
    from fastsvc import files

    titles = (
        "",
        "kernel",
        "type",
        "frames",
        "GFLOP",
        "MB from and to L2",
        "registers",
        "shared bytes",
        "programs in waves × held",
    )
    titles = (*titles, "bound by", "µs", "µs, low – high")
    table = "\n".join(["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles), *rows()])
    files.write_text(PAGE, f"{ABOUT}\n{table}\n")
    print(PAGE)


ABOUT = f"""# What each kernel must cost

Written by `python bench/roofline.py` from the launches and bench/results/kernels.md. These are estimates on paper: no
GPU has run these kernels yet.

One launch each, of the sizes of bench/results/kernels.md. MB: what all programs read from and write to the L2 cache.
"120 in 1 × 1": 120 programs in one wave, one on each multiprocessor at a time. µs: within a wave the longest of
products, traffic with the L2 cache ({L2_BYTES[90]} bytes a cycle and multiprocessor on sm_80, sm_90 and sm_100,
{L2_BYTES[89]} on the others) and steps along K ({STEP_CYCLES} cycles each), {LATENCY_CYCLES} cycles before and after,
and {LAUNCH_US} µs between two launches of a graph. Low and high: {LOW} and {HIGH} times that, for constants that are
measured on one kind of GPU (the L2 cache's) or estimated (the others).
"""


if __name__ == "__main__":
    program.start(main)
