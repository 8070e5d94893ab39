"""The page of what each kernel must cost: bench/results/roofline.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from bench import sass
from bench.kernel_time import (
    CACHE_RATE,
    FLAG_CYCLES,
    HIGH,
    LATENCY_CYCLES,
    LAUNCH_US,
    LOW,
    SCHEDULERS,
    SHARED_RATE,
    STEP_CYCLES,
    Compiled,
    estimate,
    joined_us,
)
from bench.kernel_work import work
from fastsvc import files
from fastsvc.build.cubins import page, resources
from fastsvc.config import VocoderConfig
from fastsvc.engine.cuda import launch_plan
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.tiles import LOAD_BYTES

PAGE = Path(__file__).parent / "results" / "roofline.md"
JOINED = "denoiser, layers in one launch"
STAGES = (("denoiser", 1875), ("denoiser", 94), (JOINED, 94), ("vocoder", 1875), ("vocoder", 94))
# On sm_90, in µs.
GOALS_US = {("denoiser", 1875): 350, ("denoiser", 94): 120, (JOINED, 94): 120, ("vocoder", 1875): 2500}


def compiled_rows() -> dict[str, Compiled]:
    """{the first half of a row of bench/results/kernels.md: what was compiled}."""
    rows, codes = {}, sass.load()
    for line in page.PAGE.read_text(encoding="utf-8").splitlines():
        cells = line.split(" | ")
        if line.startswith("| sm_"):
            key = " | ".join(cells[:-4]) + " |"
            rows[key] = Compiled(int(cells[-4]), int(cells[-3]), int(cells[-6]), codes.get(key))
    return rows


def rows(known: dict[str, Compiled], archs) -> list[str]:
    """The table's lines; a kernel whose block is not on the page of compiled kernels says so."""
    lines = []
    for name, kind, frames, launch, arch in resources.table_cases(archs):
        cells, job = resources.tile_cells(name, kind, frames, launch, arch), work(launch)
        megabytes = (job.loads + job.stores) / 1e6
        start = f"| sm_{arch} | {name} | {kind} | {frames} | {job.flops / 1e9:.3f} | {megabytes:.2f} |"
        compiled = known.get(cells)
        if compiled is None:
            lines.append(f"{start} not compiled | – | – | – | – | – |")
            continue
        if name == "layers":
            us, how = layers_us(known, launch, arch, frames), f"{job.programs} at once | its phases"
        else:
            found = estimate(job, 4 if kind == "fp32" else 2, arch, compiled)
            us, how = found.us, f"{job.programs} in {found.waves} × {found.held} | {found.bound}"
        memory = f"{compiled.registers} | {compiled.shared}"
        lines.append(f"{start} {memory} | {how} | {us:.1f} | {LOW * us:.1f} – {HIGH * us:.1f} |")
    return lines


def nearest(known: dict[str, Compiled], cells: str) -> Compiled:
    """What was compiled for a row: the row itself, or one of the same block for other frames, of other channels, or for
    another architecture; what a kernel takes hardly depends on these. Raises KeyError without any."""
    if cells in known:
        return known[cells]

    def part(row: str, channels: bool, arch: bool) -> list[str]:
        _, number, name, kind, _, *block = (cell.strip() for cell in row.split("|"))
        return [number if arch else "", name if channels else name.split()[0], kind, *block]

    for same in ((True, True), (False, True), (False, False)):
        for row, compiled in known.items():
            if part(row, *same) == part(cells, *same):
                return compiled
    raise KeyError(cells)


def stages(arch: int, frames: int) -> dict[str, list[tuple[str, Launch]]]:
    """{stage: its launches in order, each with its row's name}, in fp16: one evaluation of the denoiser, and the
    vocoder from mel to audio."""
    one = resources.launches(frames, arch, torch.float16)
    layers = ["gated_conv", "residual"] * 19 + ["gated_conv"]
    generator = launch_plan.generator(VocoderConfig(), torch.float16, arch, [(1, frames)])
    audio = [(resources.vocoder_name(launch), launch) for launch in generator]
    return {
        "denoiser": [(name, one[name]) for name in ("first", *layers, "skip", "head")],
        "vocoder": [("source", resources.excitation(frames)), *audio],
    }


def stage_us(known: dict[str, Compiled], arch: int, frames: int, stage: str) -> tuple[float, int]:
    """(µs of a stage, its launches). Raises KeyError where a kernel has no row among the compiled ones."""
    total, launches = 0.0, stages(arch, frames)[stage]
    for name, launch in launches:
        kind = "fp32" if name == "source" else "fp16"
        row = resources.tile_cells(name, kind, resources.FRAMES[1] if name == "source" else frames, launch, arch)
        total += estimate(work(launch), 2, arch, nearest(known, row)).us
    return total, len(launches)


def layers_us(known: dict[str, Compiled], launch: Launch, arch: int, frames: int) -> float:
    """µs of all layers in one launch, with the instructions of kernels of the same blocks."""
    k, codes = launch.constants, []
    for name, columns in (("gated_conv", k["COLUMNS"]), ("residual", k["NARROW"])):
        block = f"{k['ROWS']}×{columns}×{k['DEPTH']}"
        cells = f"| sm_{arch} | {name} | fp16 | {frames} | {block} | {launch.warps} | {launch.stages} |"
        try:
            codes.append(nearest(known, cells).code)
        except KeyError:
            codes.append(None)
    row = resources.tile_cells("layers", "fp16", frames, launch, arch)
    return joined_us(launch, 2, arch, nearest(known, row), tuple(codes))


def joined(known: dict[str, Compiled], arch: int, frames: int) -> tuple[float, int]:
    """(µs of an evaluation with all layers in one launch, its launches)."""
    one = resources.launches(frames, arch, torch.float16)
    others = [
        estimate(work(one[name]), 2, arch, nearest(known, resources.tile_cells(name, "fp16", frames, one[name], arch)))
        for name in ("first", "skip", "head")
    ]
    return layers_us(known, one["layers"], arch, frames) + sum(found.us for found in others), 4


def sums(known: dict[str, Compiled], archs) -> list[str]:
    lines = []
    for arch in archs:
        for stage, frames in STAGES:
            us, count = joined(known, arch, frames) if stage == JOINED else stage_us(known, arch, frames, stage)
            goal = GOALS_US.get((stage, frames)) if arch == 90 else None
            lines.append(
                f"| sm_{arch} | {stage} | {frames} | {count} | {us:.0f} | {LOW * us:.0f} – {HIGH * us:.0f} |"
                f" {count * LAUNCH_US:.0f} | {goal or '–'} |"
            )
    return lines


def table(titles: tuple[str, ...], lines: list[str]) -> str:
    return "\n".join(["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles), *lines])


def write(section: Callable[[dict[str, Compiled]], str]) -> Path:
    """Write the page and return its path; ``section``: one more, between its tables."""
    known, archs = compiled_rows(), resources.ARCHITECTURES
    stage_table, kernel_table = table(STAGE_TITLES, sums(known, archs)), table(TITLES, rows(known, archs))
    files.write_text(PAGE, f"{ABOUT}\n{stage_table}\n\n{section(known)}\n{KERNELS}\n{kernel_table}\n")
    return PAGE


STAGE_TITLES = ("", "stage", "frames", "launches", "µs", "µs, low – high", "between launches", "goal")
TITLES = ("", "kernel", "type", "frames", "GFLOP", "MB from and to L2", "registers", "shared bytes")
TITLES = (*TITLES, "programs in waves × held", "bound by", "µs", "µs, low – high")
ABOUT = f"""# What each kernel must cost

Written by `python bench/roofline.py` from the launches, bench/results/kernels.md and bench/results/sass.json. These are
estimates on paper: no GPU has run these kernels yet.

## Stages
The denoiser is one evaluation of C 512, 20 layers; the vocoder is the m4 size, from mel to audio; both in fp16, for one
sequence. Low and high: {LOW} and {HIGH} times the estimate, for constants that others have measured (the L2 cache's)
or that are estimated. "Between launches" is the part of the µs that is waited between kernels of a graph.
"""
KERNELS = f"""## Kernels
One launch each, of the sizes of bench/results/kernels.md. MB: what all programs read from and write to the L2 cache.
"120 in 1 × 1": 120 programs in one wave, one on each multiprocessor at a time. µs: within a wave the longest of

- products of the tensor cores, at their stated rate, three of TF32 for one of fp32;
- traffic with the L2 cache, in bytes a cycle and multiprocessor while all of them read:
  {", ".join(f"{CACHE_RATE[arch]} on sm_{arch}" for arch in resources.ARCHITECTURES)} (published, but of sm_100);
  where fewer do, these share it, up to {LOAD_BYTES} bytes each;
- steps along K, {STEP_CYCLES} cycles each, for barriers and waits;
- issue: all instructions of all warps at {SCHEDULERS} a cycle, where bench/results/sass.json has them (sm_80, sm_90);
- shared memory at {SHARED_RATE} bytes a cycle, likewise: operands, copies (twice through the L1 cache), the rest;

and {LATENCY_CYCLES} cycles before and after each wave; or device memory, if that takes longer: weights, and rows where
they are more than half of the L2 cache. {LAUNCH_US} µs between two launches of a graph are added. In one launch of all
layers each of the 39 phases takes as long as its tiles do by the same rules, and {FLAG_CYCLES} cycles for its flags.
"""
