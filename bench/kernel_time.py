"""What a launch must take on a GPU, from its work and its compiled code: estimates that no GPU has confirmed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench import sass
from bench.kernel_work import Work, phases
from fastsvc.kernels import occupancy
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.tiles import L2_BYTES, LOAD_BYTES, PROCESSORS, TENSOR_RATE

CLOCK_GHZ = {80: 1.41, 86: 1.70, 89: 2.52, 90: 1.75, 100: 1.85, 120: 2.41}  # boost clocks as NVIDIA states them
# Device memory in bytes a nanosecond and the L2 cache in bytes: A100 80 GB, RTX 3090, RTX 4090, H100 SXM, B200,
# RTX 5090, as NVIDIA states them.
MEMORY_GBS = {80: 2039, 86: 936, 89: 1008, 90: 3350, 100: 8000, 120: 1792}
CACHE_BYTES = {80: 40e6, 86: 6e6, 89: 72e6, 90: 50e6, 100: 126e6, 120: 96e6}
CACHE_RATE = {**L2_BYTES, 100: L2_BYTES[90]}  # a B200 is taken to be like an H100
SCHEDULERS, SHARED_RATE = 4, 128  # of a multiprocessor: instructions of warps, and bytes of shared memory, a cycle
LATENCY_CYCLES = 600  # from the first load to the first product, and from the last product to the last store
STEP_CYCLES = 60  # of one step along K: barriers and the wait for a stage
LAUNCH_US = 1.3  # between two kernels of one graph, of which the second waits for the first
# In one launch of all layers, between the last store of a tile and the first load of one that waits for it: a fence, an
# atomic add, another program's look, which are three or four ways to the L2 cache of 300 to 700 cycles each.
FLAG_CYCLES = 1900
# What the estimates may be off by, each way: the L2 cache's rate, the latencies and the launch by half, products by a
# tenth.
LOW, HIGH = 0.75, 1.5


@dataclass(frozen=True)
class Compiled:
    """What a row of bench/results/kernels.md says, with the counts of bench/results/sass.json if it is there."""

    registers: int
    shared: int
    warps: int
    code: sass.Code | None = None


@dataclass(frozen=True)
class Estimate:
    held: int  # programs of one multiprocessor at once
    waves: int
    bound: str  # what takes longest within a wave
    us: float


def estimate(job: Work, width: int, arch: int, compiled: Compiled) -> Estimate:
    """A launch's time, the gap to the launch before included."""
    processors, ghz = PROCESSORS[arch], CLOCK_GHZ[arch]
    fits = max(1, occupancy.programs(compiled.shared, compiled.registers, compiled.warps, arch))
    held = min(fits, -(-job.programs // processors))
    waves = -(-job.programs // (processors * held))
    rate = min(LOAD_BYTES, CACHE_RATE[arch] * processors / min(job.programs, processors))  # of those with work
    adds = job.flops / job.programs / 2 * (3 if width == 4 else 1)  # of one program; float32 in three parts
    parts = {
        "products": held * adds / (TENSOR_RATE[arch] * 2 / width),
        "L2": held * (job.loads + job.stores) / job.programs / rate,
        "steps": job.rounds * job.steps * STEP_CYCLES,
    }
    if compiled.code is not None:
        counts = compiled.code.executed(adds / job.rounds, job.steps)
        per_warp = sum(count for kind, count in counts.items() if kind not in (sass.ADDS, sass.SHARED))
        parts["issue"] = held * job.rounds * compiled.warps * per_warp / SCHEDULERS
        parts["shared"] = held * job.rounds * counts.get(sass.SHARED, 0) / SHARED_RATE
    bound = max(parts, key=lambda key: parts[key])
    us = waves * (2 * LATENCY_CYCLES + parts[bound]) / (1e3 * ghz)
    moved = job.weights + (job.rows if job.rows > CACHE_BYTES[arch] / 2 else 0)
    memory_us = moved / (1e3 * MEMORY_GBS[arch])
    return Estimate(held, waves, "memory" if memory_us > us else bound, max(us, memory_us) + LAUNCH_US)


def joined_us(launch: Launch, width: int, arch: int, compiled: Compiled, codes: tuple) -> float:
    """All layers in one launch. ``codes``: the counts of a convolution and of a residual with the same blocks, where
    they are known. A phase's rounds follow one another, and each phase waits for flags."""
    total, weights, programs = 0.0, 0.0, launch.grid[0]
    for (job, times), code in zip(phases(launch), codes):
        share = replace(job, programs=min(programs, job.programs), rounds=-(-job.programs // programs))
        found = estimate(share, width, arch, replace(compiled, code=code))
        total += times * (found.us - LAUNCH_US + FLAG_CYCLES / (1e3 * CLOCK_GHZ[arch]))
        weights += times * job.weights
    return max(total, weights / (1e3 * MEMORY_GBS[arch])) + LAUNCH_US
