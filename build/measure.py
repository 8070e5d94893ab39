"""Pass 7, measure: the compiled parts against the plain PyTorch model, in turns in one run, on this machine."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

import torch

from fastsvc.build.plan import Plan
from fastsvc.checkpoints.native import module
from fastsvc.engine import artifact, machine
from fastsvc.engine.cpu_bf16 import denoiser_for
from fastsvc.engine.cpu_vocoder import Vocoder

SECONDS_OF_AUDIO = {"denoiser": 4.0, "vocoder": 0.5}
REPEATS = 3


@torch.inference_mode()
def measure_pass(plan: Plan) -> None:
    plan.measured = {"machine": machine.describe(), "date": datetime.date.today().isoformat()}
    pairs = {"denoiser": _denoisers(plan)}
    if plan.vocoder is not None:
        pairs["vocoder"] = _vocoders(plan)
    for name, (plain, compiled) in pairs.items():
        plain_s, compiled_s = medians(plain, compiled)
        plan.measured[name] = {
            "audio_s": SECONDS_OF_AUDIO[name],
            "plain_s": round(plain_s, 5),
            "compiled_s": round(compiled_s, 5),
            "speedup": round(plain_s / compiled_s, 2),
        }
        plan.say(
            f"measure: {name}, {SECONDS_OF_AUDIO[name]:g} s of audio: {1e3 * compiled_s:.1f} ms,"
            f" plain PyTorch {1e3 * plain_s:.1f} ms ({plain_s / compiled_s:.2f}×)"
        )


def medians(first: Callable, second: Callable, repeats: int = REPEATS) -> tuple[float, float]:
    """Median seconds of each, run in turns after one round of warming up."""
    times: dict[Callable, list[float]] = {first: [], second: []}
    for round_ in range(repeats + 1):
        for run in (first, second):
            start = time.perf_counter()
            run()
            if round_:
                times[run].append(time.perf_counter() - start)
    return tuple(sorted(t)[repeats // 2] for t in times.values())


def _denoisers(plan: Plan) -> tuple[Callable, Callable]:
    """One evaluation, condition projection included, as in one-step sampling."""
    config, level = plan.acoustic_config, plan.levels[0]
    frames = max(1, round(SECONDS_OF_AUDIO["denoiser"] * config.mel.frame_rate_hz))
    x, cond = level * torch.randn(frames, config.mel.bins), torch.randn(frames, config.condition.channels)
    model = module(plan.acoustic.kind, config)
    model.load_state_dict(plan.acoustic.tensors)
    model.eval()
    denoiser = denoiser_for(plan.precision)(plan.files[artifact.WEIGHTS], config, plan.levels)
    return (
        lambda: model.denoise(x[None], level, cond[None]),
        lambda: denoiser(x, level, denoiser.prepare(cond)),
    )


def _vocoders(plan: Plan) -> tuple[Callable, Callable]:
    config = plan.vocoder.config
    frames = max(1, round(SECONDS_OF_AUDIO["vocoder"] * config.mel.frame_rate_hz))
    mel, source = torch.randn(1, frames, config.mel.bins) - 2, 0.1 * torch.randn(1, frames * config.source_hop_samples)
    model = module("vocoder", config)
    model.load_state_dict(plan.vocoder.tensors)
    model.eval()
    vocoder = Vocoder(plan.files[artifact.VOCODER], config)
    return (lambda: model(mel, source)), (lambda: vocoder(mel, source))
