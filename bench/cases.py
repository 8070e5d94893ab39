"""The cases of `bench.cpu`, a function each, run in a process of its own: a peak of memory is per process."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bench import models
from fastsvc.audio.slicing import blocks
from fastsvc.checkpoints import read
from fastsvc.engine.cpu import sampler as cpu_sampler
from fastsvc.engine.engine import Engine
from fastsvc.model import schedule, source
from fastsvc.model.modules import module

RATE_HZ = 44100


def peak_mb() -> int:
    """The largest resident memory of this process so far, Python and PyTorch included."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def forget_peak() -> int:
    """Reset the peak to the memory resident now, and return it: loading needs memory that running does not.

    Linux alone; elsewhere the peak stays."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()


def turns(runs: dict[str, Callable], repeats: int) -> dict:
    """Seconds of each run, in turns after one round of warming up: median, 20th and 80th percentile, and processor
    time (all threads, spinning included). ``ratio`` is plain over compiled, of the medians."""
    wall, busy = ({name: [] for name in runs} for _ in range(2))
    for round_ in range(repeats + 1):
        for name, run in runs.items():
            start, used = time.perf_counter(), time.process_time()
            run()
            if round_:
                wall[name].append(time.perf_counter() - start)
                busy[name].append(time.process_time() - used)
    result: dict = {}
    for name in runs:
        low, middle, high = (float(q) for q in np.quantile(wall[name], (0.2, 0.5, 0.8)))
        result[name] = {
            "median_s": round(middle, 6),
            "p20_s": round(low, 6),
            "p80_s": round(high, 6),
            "cpu_median_s": round(statistics.median(busy[name]), 6),
        }
    for key, figure in (("ratio", "median_s"), ("ratio_cpu", "cpu_median_s")):
        result[key] = round(result["plain"][figure] / result["compiled"][figure], 2)
    return {**result, "repeats": repeats}


def denoiser_run(which: str, folder: Path, seconds: float) -> Callable:
    """One evaluation with the condition's projection: x, cond → D(x, σ). The engine's in its blocks, halos included."""
    opened = (
        _plain(folder / "student.pt") if which == "plain" else Engine.open(folder / "bench.fsvc", precision="built")
    )
    config = opened.config
    frames, level = round(seconds * config.mel.frame_rate_hz), float(schedule.consistency_sigmas(config.edm, 1)[0])
    torch.manual_seed(0)
    x, cond = level * torch.randn(frames, config.mel.bins), torch.randn(frames, config.condition.channels)
    if which == "plain":
        return lambda: opened.denoise(x[None], level, cond[None])[0]
    net = opened.sampler.denoiser

    def compiled():
        out = torch.empty_like(x)
        for first, last, start, end in blocks(frames, cpu_sampler.MEL_BLOCK, net.halo_frames):
            piece = net(x[start:end], level, net.prepare(cond[start:end]))
            out[first:last] = piece[first - start : last - start]
        return out

    return compiled


def vocoder_run(which: str, folder: Path, seconds: float) -> Callable:
    """Mel and f0 → audio, the harmonic source included; the engine's in its blocks."""
    if which == "plain":
        model = _plain(folder / "vocoder.pt")
        config = model.config
    else:
        synthesise = Engine.open(folder / "bench.fsvc", precision="built").synthesiser
        config = synthesise.config
    frames = round(seconds * config.mel.frame_rate_hz)
    torch.manual_seed(0)
    mel, f0_hz = torch.randn(frames, config.mel.bins) - 2, 100 + 200 * torch.rand(frames)
    if which == "plain":
        return lambda: model(mel[None], model.source(source.seeded(f0_hz[None], config)))[0]
    return lambda: synthesise(mel, f0_hz)


RUNS = {"denoiser": denoiser_run, "vocoder": vocoder_run}


@torch.inference_mode()
def timed(part: str, folder: Path, seconds: float, repeats: int) -> dict:
    """Times of plain and compiled in turns, and the largest difference of their outputs."""
    runs = {which: RUNS[part](which, folder, seconds) for which in ("plain", "compiled")}
    difference = relative(runs["compiled"](), runs["plain"]())
    return {"audio_s": seconds, **turns(runs, repeats), "difference": difference}


@torch.inference_mode()
def memory(part: str, which: str, folder: Path, seconds: float) -> dict:
    """Peak memory of this process, which does one of plain and compiled, once."""
    run = RUNS[part](which, folder, seconds)
    loading, resident = peak_mb(), forget_peak()
    run()
    return {"loading_peak_mb": loading, "resident_mb": resident, "running_peak_mb": peak_mb()}


def long(folder: Path, minutes: float) -> dict:
    """Time and memory of a synthetic recording through :meth:`Engine.convert`."""
    return converted(
        Engine.open(folder / "bench.fsvc", precision="built"), minutes, models.SPEAKERS[0], progress=_progress_printer()
    )


def converted(engine: Engine, minutes: float, speaker, **options) -> dict:
    """Time and memory of one conversion; the peak is counted from here on, loading apart."""
    loading, audio = peak_mb(), recording(minutes * 60)
    forget_peak()
    start = time.perf_counter()
    output, rate_hz = engine.convert(audio, RATE_HZ, speaker, **options)
    spent = time.perf_counter() - start
    assert output.shape == audio.shape and rate_hz == RATE_HZ and np.isfinite(output).all()
    return {
        "minutes": minutes,
        "rate_hz": RATE_HZ,
        "input_mb": audio.nbytes >> 20,
        "loading_peak_mb": loading,
        "peak_mb": peak_mb(),
        "seconds": round(spent, 1),
        "real_time_factor": round(spent / (60 * minutes), 4),
        "stages_s": {name: round(value, 1) for name, value in engine.timings.items()},
    }


@torch.inference_mode()
def excerpt(folder: Path, seconds: float) -> dict:
    """The same features in one block and in the blocks of a long file: largest difference, of mel and of audio."""
    engine = Engine.open(folder / "bench.fsvc", precision="built")
    torch.manual_seed(0)
    time_s = torch.arange(round(seconds * engine.config.mel.frame_rate_hz)) / engine.config.mel.frame_rate_hz
    f0_hz = 200 * 2 ** torch.sin(time_s) * ((time_s % 3) > 0.4)
    features = (
        torch.randn(round(50 * seconds), engine.config.unit_channels),
        f0_hz,
        0.1 * torch.rand(len(f0_hz)),
    )
    in_blocks = engine.synthesise(*features, speaker=0)
    blocks_, peak = {"mel": cpu_sampler.MEL_BLOCK, "vocoder": cpu_sampler.VOCODER_BLOCK}, peak_mb()
    cpu_sampler.MEL_BLOCK = cpu_sampler.VOCODER_BLOCK = len(f0_hz)
    in_one = engine.synthesise(*features, speaker=0)
    return {
        "audio_s": seconds,
        "blocks_frames": blocks_,
        "difference": {"audio": relative(in_blocks[0], in_one[0]), "mel": relative(in_blocks[1], in_one[1])},
        "spread": {"audio": round(float(in_one[0].std()), 4), "mel": round(float(in_one[1].std()), 4)},
        "peak_mb": {"in blocks": peak, "in one": peak_mb()},
    }


def recording(seconds: float) -> np.ndarray:
    """Tones with vibrato, noise, and pauses between them, 44.1 kHz, computed in pieces of ten seconds."""
    audio = np.empty(round(seconds * RATE_HZ), np.float32)
    draw = np.random.default_rng(0)
    for start in range(0, len(audio), 10 * RATE_HZ):
        piece = audio[start : start + 10 * RATE_HZ]
        time_s = (start + np.arange(len(piece))) / RATE_HZ
        pitch_hz = 220 * 2 ** (np.round(12 * np.sin(time_s // 0.5)) / 12)
        phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * time_s))) / RATE_HZ
        tone = sum(np.sin(k * phase) / k for k in range(1, 9)) * ((time_s % 4) < 3.2)
        piece[:] = 0.2 * tone + 0.005 * draw.standard_normal(len(piece))
    return audio


def relative(output: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference over the largest value."""
    return float((output - expected).abs().max() / expected.abs().max())


def _progress_printer() -> Callable[[float], None]:
    """A callback that prints a line on stderr for every tenth."""
    next_fraction = [0.0]

    def report(fraction: float) -> None:
        if fraction >= next_fraction[0]:
            print(f"{100 * fraction:.0f} % done", file=sys.stderr, flush=True)
            next_fraction[0] = fraction + 0.1

    return report


def _plain(path: Path):
    checkpoint = read(path)
    model = module(checkpoint.kind, checkpoint.config)
    model.load_state_dict(checkpoint.tensors)
    return model.eval()
