"""Pass 7, measure: the compiled parts against the plain PyTorch model, in turns, on this machine."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence

import torch

from fastsvc import machine
from fastsvc.artifact import engine_folder
from fastsvc.artifact.manifest import Sampling
from fastsvc.build.plan import LoweredPlan, MeasuredPlan, VerifiedPlan
from fastsvc.checkpoints import Checkpoint
from fastsvc.config import AnyVocoderConfig, DdspConfig, RvcConfig
from fastsvc.engine.cpu.ddsp import DdspSampler
from fastsvc.engine.cpu.denoiser_bf16 import denoiser_for
from fastsvc.engine.cpu.generators import torch_generator
from fastsvc.engine.cpu.rvc import RvcSampler
from fastsvc.engine.cpu.sampler import Features, noise_from
from fastsvc.engine.cpu.vocoder_onnx import OnnxGenerator
from fastsvc.errors import FastsvcError
from fastsvc.model import vocoders
from fastsvc.model.modules import module

SECONDS_OF_AUDIO = {"denoiser": 4.0, "latent": 4.0, "vocoder": 0.5}
REPEATS = 3


@torch.inference_mode()
def measure_pass(plan: VerifiedPlan) -> MeasuredPlan:
    measured: dict = {"machine": machine.describe(), "date": datetime.date.today().isoformat()}
    if isinstance(plan.acoustic_config, RvcConfig):
        name, runs = "latent", _latents(plan)
    else:
        name = "denoiser"
        runs = _velocities(plan) if isinstance(plan.acoustic_config, DdspConfig) else _denoisers(plan)
    measured[name] = _entry(plan, name, *medians(runs))
    if plan.vocoder is None:
        return plan.then(MeasuredPlan, measured=measured)
    runs = _vocoders(plan, plan.vocoder)
    plain_s, *by_backend = medians(list(runs.values()))
    times = dict(zip([name for name in runs if name != "plain"], by_backend))
    fastest = min(times, key=lambda name: times[name])
    measured["vocoder"] = _entry(plan, "vocoder", plain_s, times[fastest])
    measured["vocoder"]["backends_s"] = {name: round(seconds, 5) for name, seconds in times.items()}
    if len(times) > 1:
        listed = ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in times.items())
        plan.say(f"measure: vocoder on this processor by backend: {listed}")
    return plan.then(MeasuredPlan, measured=measured, cpu_backend=fastest)


def _entry(plan: LoweredPlan, name: str, plain_s: float, compiled_s: float) -> dict:
    seconds = SECONDS_OF_AUDIO[name]
    plan.say(
        f"measure: {name}, {seconds:g} s of audio: {1e3 * compiled_s:.1f} ms,"
        f" plain PyTorch {1e3 * plain_s:.1f} ms ({plain_s / compiled_s:.2f}×)"
    )
    return {
        "audio_s": seconds,
        "plain_s": round(plain_s, 5),
        "compiled_s": round(compiled_s, 5),
        "speedup": round(plain_s / compiled_s, 2),
    }


def medians(runs: Sequence[Callable], repeats: int = REPEATS) -> list[float]:
    """Median seconds of each run, taken in turns after one round to warm up."""
    times: list[list[float]] = [[] for _ in runs]
    for round_ in range(repeats + 1):
        for run, seconds in zip(runs, times):
            start = time.perf_counter()
            run()
            if round_:
                seconds.append(time.perf_counter() - start)
    return [sorted(seconds)[repeats // 2] for seconds in times]


def _denoisers(plan: LoweredPlan) -> tuple[Callable, Callable]:
    """One evaluation, condition projection included, as in one-step sampling."""
    config, level = plan.diffusion, plan.levels[0]
    frames = max(1, round(SECONDS_OF_AUDIO["denoiser"] * config.mel.frame_rate_hz))
    x, cond = level * torch.randn(frames, config.mel.bins), torch.randn(frames, config.condition.channels)
    model = module(plan.acoustic.kind, config)
    model.load_state_dict(plan.acoustic.tensors)
    model.eval()
    denoiser = denoiser_for(plan.precision)(plan.tensors[engine_folder.WEIGHTS], config, plan.levels)
    return (
        lambda: model.denoise(x[None], level, cond[None]),
        lambda: denoiser(x, level, denoiser.prepare(cond)),
    )


def _velocities(plan: LoweredPlan) -> tuple[Callable, Callable]:
    """One evaluation of the velocity network of a voice of DDSP-SVC."""
    config, level, sampling = plan.ddsp, plan.levels[0], Sampling(plan.sampler, plan.schedules, plan.levels)
    frames = max(1, round(SECONDS_OF_AUDIO["denoiser"] * config.mel.frame_rate_hz))
    x, mel = torch.randn(frames, config.mel.bins), torch.randn(frames, config.mel.bins) - 5
    model = module(plan.acoustic.kind, config)
    model.load_state_dict(plan.acoustic.tensors)
    model.eval()
    velocity = DdspSampler(plan.tensors[engine_folder.WEIGHTS], config, sampling).velocity
    return lambda: model.velocity(x[None], level, mel[None]), lambda: velocity(x, level, mel)


def _latents(plan: LoweredPlan) -> tuple[Callable, Callable]:
    """Text encoder, draw and flow of a voice of RVC."""
    config, sampling = plan.rvc, Sampling(plan.sampler, plan.schedules, plan.levels)
    frames = max(1, round(SECONDS_OF_AUDIO["latent"] * config.mel.frame_rate_hz))
    units, noise = torch.randn(frames, config.unit_channels), torch.randn(frames, config.mel.bins)
    f0_hz = torch.full((frames,), 200.0)
    model = module(plan.acoustic.kind, config)
    model.load_state_dict(plan.acoustic.tensors)
    model.eval()
    speaker, coarse = model.speaker(torch.tensor([0])), model.coarse_pitch(f0_hz)[None]
    sampler = RvcSampler(plan.tensors[engine_folder.WEIGHTS], config, sampling)
    features = Features(units, torch.arange(frames), f0_hz, f0_hz > 0, f0_hz)
    voice = sampler.condition.speaker({0: 1.0})
    return (
        lambda: model.latent(units[None], coarse, speaker, noise[None]),
        lambda: sampler(features, voice, 1, noise_from([noise])),
    )


def _vocoders(plan: LoweredPlan, checkpoint: Checkpoint[AnyVocoderConfig]) -> dict[str, Callable]:
    """The plain generator, then every backend that runs on this processor."""
    config = checkpoint.config
    frames = max(1, round(SECONDS_OF_AUDIO["vocoder"] * config.mel.frame_rate_hz))
    shapes = vocoders.shapes(config, 1, frames)
    mel = torch.randn(shapes["mel"]) - 2
    source = 0.1 * torch.randn(shapes["source"]) if "source" in shapes else None
    table = checkpoint.tensors.get(vocoders.SPEAKERS)
    speaker = None if table is None else vocoders.speaker_vector(table, {0: 1.0})
    extra = vocoders.seeded_extra(torch.full((1, frames), 200.0), config, seed=0, speaker=speaker)
    model = module("vocoder", config)
    model.load_state_dict(checkpoint.tensors)
    model.eval()
    tensors = plan.tensors[engine_folder.VOCODER]
    generators: dict[str, Callable] = {"torch": torch_generator(tensors, config)}
    try:
        generators["onnxruntime"] = OnnxGenerator(tensors, config)
    except FastsvcError as error:
        plan.say(f"measure: the vocoder was not tried in onnxruntime: {error}")
    runs = {name: lambda generator=generator: generator(mel, source, extra) for name, generator in generators.items()}
    return {"plain": lambda: vocoders.specified(model, mel, source, extra), **runs}
