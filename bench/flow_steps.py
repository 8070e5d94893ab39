"""A rectified flow's many steps against the one of its student, on this machine's CPU.

    python -m bench.flow_steps [TEACHER.fsvc STUDENT.fsvc] [--json bench/results/ddsp/steps.json]

Every row is timed in each round, one after another, on one thread. The stages are those of DDSP-SVC 6.1 at full size
with random weights, whose values cost no time: the first mel, and the flow from it. Two engines add whole conversions,
the teacher's most steps and each of the student's. Medians of the process's own CPU time, beside the clock's.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench import circumstances, program

STEPS, FEW = 20, (1, 2, 4)
F0_HZ = 200.0


def main() -> None:
    parser = program.parser(__doc__)
    which = "the teacher's, then the student's"
    parser.add_argument("engines", nargs="*", type=program.existing, metavar="ENGINE", help=which)
    parser.add_argument("--seconds", type=program.length, default=10.0, help="of audio")
    parser.add_argument("--repeats", type=program.whole_number, default=5)
    parser.add_argument("--json", type=program.result, metavar="FILE")
    options = parser.parse_args()
    if len(options.engines) not in (0, 2):
        parser.error("name two engines, the teacher's and the student's, or none")
    import torch

    torch.set_num_threads(1)
    about = circumstances.describe("python -m bench.flow_steps", torch.device("cpu"))
    cases = conversions(*options.engines, options.seconds) if options.engines else {}
    with torch.inference_mode():
        cases = stages(options.seconds) | cases
    rows = timed(cases, options.repeats)
    for name, row in rows.items():
        print(f"{name:32} {row['cpu_s']:8.3f} s of CPU time, {row['wall_s']:8.3f} s by the clock")
    circumstances.keep({"seconds": options.seconds, "rows": rows, **about, **circumstances.load_after()}, options.json)


def timed(cases: dict[str, Callable], repeats: int) -> dict[str, dict]:
    """Each case once to warm up, then ``repeats`` rounds of all."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for round_ in range(repeats + 1):
        for name, run in cases.items():
            start = time.process_time(), time.perf_counter()
            run()
            if round_:
                found[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
    return {
        name: {key: round(statistics.median(pair[i] for pair in pairs), 4) for i, key in enumerate(("cpu_s", "wall_s"))}
        for name, pairs in found.items()
    }


def stages(seconds: float) -> dict[str, Callable]:
    """Of a voice at full size, by the CPU engine's own form."""
    import torch

    from fastsvc.artifact.manifest import Sampling
    from fastsvc.build.passes import ddsp, rvc
    from fastsvc.config import DdspConfig
    from fastsvc.engine.cpu.ddsp import DdspSampler
    from fastsvc.engine.cpu.sampler import Features, SeededNoise
    from fastsvc.model.ddsp import flow
    from fastsvc.model.modules import module

    torch.manual_seed(0)
    config = DdspConfig()
    state = {name: w.double() for name, w in module("ddsp", config).state_dict().items()}
    rows = {n: flow.levels(config.t_start, n) for n in (STEPS, *FEW)}
    levels = sorted({level for row in rows.values() for level in row[:-1]}, reverse=True)
    tensors = rvc.lower(ddsp.fold(state, config, levels))
    methods = ("euler", "consistency")
    samplers = {method: DdspSampler(tensors, config, Sampling(method, rows, levels)) for method in methods}
    frames = round(seconds * config.mel.frame_rate_hz)
    f0_hz = torch.full((frames,), F0_HZ)
    features = Features(
        torch.randn(frames, config.unit_channels), torch.arange(frames), f0_hz, f0_hz > 0, torch.full((frames,), 0.1)
    )
    noise, many = SeededNoise(0, config.mel.bins), samplers["euler"]
    voice = many.condition.speaker({0: 1.0})
    first = many.timed_stages(features, voice, STEPS, noise)
    jumps = samplers["consistency"]
    named = {"full size: first mel": first["first mel"], f"full size: {STEPS} Euler steps": first["flow"]}
    for count in FEW:
        named[f"full size: {count} jump{'s' * (count > 1)}"] = jumps.timed_stages(features, voice, count, noise)["flow"]
    return {name: _without_gradient(run) for name, run in named.items()}


def conversions(teacher: Path, student: Path, seconds: float) -> dict[str, Callable]:
    """Whole conversions of two engines. Raises EngineError."""
    import numpy as np

    from fastsvc.engine import Engine

    many, few = (Engine.open(path, "cpu", "built") for path in (teacher, student))
    place = np.arange(round(seconds * many.rate_hz)) / many.rate_hz
    audio = sum(0.1 / k * np.sin(2 * np.pi * F0_HZ * k * place) for k in range(1, 9)).astype(np.float32)
    speaker = many.speakers[0]

    def convert(engine, steps: int) -> Callable:
        return lambda: engine.convert(audio, engine.rate_hz, speaker, steps=steps)

    most = max(many.steps)
    named = {f"teacher's engine, {most} steps": convert(many, most)}
    return named | {f"student's engine, {count} step{'s' * (count > 1)}": convert(few, count) for count in few.steps}


def _without_gradient(run: Callable) -> Callable:
    import torch

    return torch.inference_mode()(run)


if __name__ == "__main__":
    program.start(main)
