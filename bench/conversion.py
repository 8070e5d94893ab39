"""A conversion measured stage by stage and against its peers: the results of `bench.latency`."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import asdict

import torch

from bench import circumstances, cold, early, peers, roofs, rvc_stages, stages, vocoders
from bench.peer_names import DESCRIPTIONS, SLOW
from bench.timing import Clock, peak_mb, profiled
from fastsvc.config import DdspConfig, RvcConfig
from fastsvc.engine import ranges
from fastsvc.engine.engine import Engine

THROUGHPUT_FILES, THROUGHPUT_S = 8, 10.0


@torch.inference_mode()
def run(engine: Engine, options: argparse.Namespace, save=lambda so_far: None) -> dict:
    """All measurements, as written to the JSON file; ``save`` is called with each intermediate result."""
    clock = Clock(engine.device, options.repeats, budget_s=options.budget)
    result = {
        "engine": {"device": str(engine.device), "precision": engine.precision, "how": engine.how},
        "sizes": sizes(engine.config),
        "roofs": roofs.measure(engine.device, engine.precision),
        "resampling": stages.resampling(engine),
        "stages": [],
        "peers": [],
        "vocoders": [],
        **circumstances.describe("python -m bench.latency", engine.device),
    }
    say(circumstances.load_line(result))
    for seconds in options.seconds:
        counts = [count for count in options.steps if count in engine.steps]
        for steps in counts:
            every = (*(rvc_stages if is_rvc(engine) else stages).STAGES, stages.WHOLE)
            names = stages.STEPPED if steps != counts[0] else every
            result["stages"] += measured(engine, seconds, steps, names, clock, result["roofs"])
        save(result)
    if options.pdl:
        result["early"] = early.compared(engine, options.peer_seconds, options.steps, clock, say)
        save(result)
    if engine.synthesiser is not None:
        for seconds in options.peer_seconds:
            say(f"{seconds:g} s: the vocoder by every backend")
            result["vocoders"] += vocoders.rows(engine, seconds, clock, result["roofs"])
            save(result)
        if engine.device.type == "cuda":  # why the engine takes which of them
            result["rungs"] = [asdict(row) for row in engine.synthesiser.choice.rows]
    quick, slow = ([name for name in options.peers if (name in SLOW) == last] for last in (False, True))
    against(engine, options, quick, clock, result, save)
    if not options.no_extras:
        say("cold start and throughput")
        if engine.shares_batches:  # else the vocoder's backends might be timed inside the cold start
            engine.warm_up(groups=[[round(cold.AUDIO_S * engine.config.mel.frame_rate_hz)]])
        result["cold"] = cold.measure(engine.path, engine.device.type, options.precision)
        result["throughput"] = throughput(engine, options)
        save(result)
    against(engine, options, slow, clock, result, save)
    result |= circumstances.load_after()
    count(engine, result["stages"])  # last: the profiler slows what is timed after it
    save(result)
    return result


def is_rvc(engine: Engine) -> bool:
    return isinstance(engine.config, RvcConfig)


def sizes(config) -> dict:
    if isinstance(config, RvcConfig):
        return {"acoustic part": rvc_stages.sizes(config)}
    if isinstance(config, DdspConfig):
        return {"velocity network": f"{config.channels}×{config.layers}"}
    return {"denoiser": f"{config.denoiser.channels}×{config.denoiser.layers}"}


def measured(engine: Engine, seconds: float, steps: int, names, clock: Clock, machine_roofs: dict) -> list[dict]:
    """A row for each of the stages ``names`` at one length and number of steps."""
    rows = []
    for stage in (stage for stage in timed_stages(engine, seconds, steps) if stage.name in names):
        say(f"{seconds:g} s, {steps} steps: {stage.name}")
        with ranges.stage(stage.name):
            row = {"seconds": seconds, "steps": steps, "stage": stage.name, **clock(stage.run, stage.waits)}
        if stage.work is not None:
            floor = roofs.floor_ms(stage.work.flops, stage.work.bytes, machine_roofs)
            row |= {"floor_ms": round(floor, 5), "percent_of_floor": roofs.percent(floor, row["p50_ms"])}
        rows.append({**row, "launches": None, "busy_ms": None, "peak_mb": peak_mb(stage.run, engine.device)})
    return rows


def timed_stages(engine: Engine, seconds: float, steps: int) -> list[stages.TimedStage]:
    return rvc_stages.stages(engine, seconds) if is_rvc(engine) else stages.stages(engine, seconds, steps)


def count(engine: Engine, rows: list[dict]) -> None:
    """Complete rows of stages with their launches and the sum of their kernels' times, where a GPU computes."""
    if engine.device.type != "cuda":
        return
    for (seconds, steps), group in itertools.groupby(rows, lambda row: (row["seconds"], row["steps"])):
        say(f"{seconds:g} s, {steps} steps: launches")
        runs = {stage.name: stage.run for stage in timed_stages(engine, seconds, steps)}
        for row in group:
            row |= profiled(runs[row["stage"]], engine.device)


def against(engine: Engine, options: argparse.Namespace, names: list[str], clock: Clock, result: dict, save) -> None:
    """Add rows of the peers ``names``, for denoiser and vocoder; each is saved at once, as a compiler may take long."""
    for row in compared(engine, options, names, clock):
        result["peers"].append(row)
        save(result)
    for seconds in options.peer_seconds if engine.synthesiser is not None else ():
        for row in vocoders.peer_rows(engine, seconds, names, clock):
            result["vocoders"].append(row)
            save(result)


def compared(engine: Engine, options: argparse.Namespace, names: list[str], clock: Clock) -> Iterator[dict]:
    """Rows of the denoiser's peers at the engine's own step counts; a peer that cannot run has its reason. Those of
    RVC's voices do what text encoder and flow do."""
    rvc, method = is_rvc(engine), engine.sampler.method
    model = peers.random_model(engine.config, engine.device) if names and not rvc else None
    for name, seconds, steps in itertools.product(names, options.peer_seconds, options.steps):
        if steps not in engine.steps:
            continue
        frames = max(1, round(seconds * engine.config.mel.frame_rate_hz))
        row = {"seconds": seconds, "steps": steps, "peer": name}
        say(f"{seconds:g} s, {steps} steps: {DESCRIPTIONS[name]}")
        try:
            if rvc:
                row |= clock(rvc_stages.peer(name, engine.config, engine.device, frames + 2 * rvc_stages.MARGIN))
            else:
                row |= clock(peers.peer(name, model, engine.sampler.schedules[steps], method, frames))
        except peers.NotHere as reason:
            row["skipped"] = str(reason)
        except (RuntimeError, ImportError) as error:  # no compiler, or too little memory
            row["skipped"] = vocoders.reason(error)
        yield row


def throughput(engine: Engine, options: argparse.Namespace) -> dict:
    """Seconds of audio a second of :data:`THROUGHPUT_FILES` recordings, sung together where the engine gains by it."""
    import time

    from fastsvc.engine import Request, conversion

    frames = round(THROUGHPUT_S * engine.config.mel.frame_rate_hz)
    generator = torch.Generator().manual_seed(0)
    units = torch.randn(frames, engine.config.unit_channels, generator=generator)
    f0_hz = 150 + 100 * torch.rand(frames, generator=generator)
    features = conversion.checked_features(engine, units, f0_hz, 0.1 * torch.rand(frames))
    samples = frames * engine.config.mel.hop_samples
    recording = conversion.RecordingFeatures(
        features, 0.0, conversion.OutputSpec(samples, engine.rate_hz, engine.rate_hz, 1.0)
    )
    files, steps = THROUGHPUT_FILES if engine.shares_batches else 2, engine.default_steps
    request, spent = Request(engine.table.base, steps=steps), []
    for _ in range(2):  # the first warms up
        start = time.perf_counter()
        engine.synthesise_many([recording] * files, request)
        spent.append(time.perf_counter() - start)
    audio_s = files * frames / engine.config.mel.frame_rate_hz
    return {"files": files, "file_s": THROUGHPUT_S, "steps": steps, "audio_s_per_s": round(audio_s / spent[-1], 2)}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
