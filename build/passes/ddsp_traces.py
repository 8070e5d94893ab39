"""What the acoustic part of a voice of DDSP-SVC 6 gives on a small input, layer by layer: by its specification, and by
the engine's own form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.artifact import engine_folder
from fastsvc.artifact.manifest import Sampling
from fastsvc.build.plan import CheckedPlan, LoweredPlan
from fastsvc.engine.cpu.ddsp import DdspSampler
from fastsvc.engine.cpu.ddsp.synthesis import Span
from fastsvc.engine.cpu.sampler import Features, noise_from
from fastsvc.model import noise
from fastsvc.model.ddsp.synthesis import first_mel
from fastsvc.model.modules import module

Trace = list[tuple[str, Tensor]]
MEL = -5.0  # about the mean of log-mels


def specification(plan: CheckedPlan, inputs: dict[str, Tensor], tensors: dict[str, Tensor], dtype) -> Trace:
    """For the first and the last speaker the control network's layers, the synthesiser's audio and its mel; then at
    some levels the velocity network's layers and result. inputs: as verify makes them."""
    model = module("ddsp", plan.ddsp)
    model.load_state_dict(tensors)
    model = model.to(dtype).eval()
    trace: Trace = []
    units, volume, x = (inputs[name].to(dtype)[None] for name in ("units", "volume", "x"))
    f0_hz = inputs["f0_hz"].to(dtype)[None]
    source = _source_noise(plan, f0_hz.shape[1]).to(dtype)[None]
    shift = inputs["key_shift"].to(dtype) if plan.ddsp.key_shift else None
    network = model.ddsp_model.unit2ctrl
    hooks = [
        layer.register_forward_hook(_noted(trace, f"control layer {i}", False))
        for i, layer in enumerate(network.decoder.encoder_layers)
    ]
    velocity = model.reflow_model.velocity_fn
    hooks += [
        layer.register_forward_hook(_noted(trace, f"layer {i}", True))
        for i, layer in enumerate(velocity.residual_layers)
    ]
    for speaker in _speakers(plan):
        control, excitation = model.control(units, f0_hz, volume, torch.tensor([speaker]), source, shift)
        audio = model.audio(control, excitation)
        trace += [("control", control[0]), ("synthesiser", audio[0])]
        trace.append(("first mel", first_mel(audio, plan.ddsp.mel)[0]))
    for level in _levels(plan):
        trace.append((f"velocity at level {level:.4g}", model.velocity(x, level, x + MEL)[0]))
    for hook in hooks:
        hook.remove()
    return trace


def lowered(plan: LoweredPlan, inputs: dict[str, Tensor]) -> Trace:
    """The same trace from the tensors as they will be stored, by the CPU backend."""
    config, sampling = plan.ddsp, Sampling(plan.sampler, plan.schedules, plan.levels)
    sampler = DdspSampler(plan.tensors[engine_folder.WEIGHTS], config, sampling)
    frames = len(inputs["f0_hz"])
    source, trace = _source_noise(plan, frames), []
    features = Features(inputs["units"], torch.arange(frames), inputs["f0_hz"], inputs["f0_hz"] > 0, inputs["volume"])
    hop, whole = config.mel.hop_samples, Span(0, frames)
    shift = float(inputs["key_shift"]) if config.key_shift else 0.0
    for speaker in _speakers(plan):
        voice = sampler.condition.speaker({speaker: 1.0}, shift)
        first = sampler.first_mel(features, voice, noise_from([]), lambda a, b: source[a * hop : b * hop])
        excitation, phase = first.excitation(whole)
        told = inputs["units"], inputs["f0_hz"], inputs["volume"], phase, excitation, voice, first.norm
        trace.append(("control", sampler.control(*told, trace=trace)))
        trace += [("synthesiser", first.audio(whole)), ("first mel", first.part(whole))]
    for level in _levels(plan):
        result = sampler.velocity(inputs["x"], level, inputs["x"] + MEL, trace)
        trace.append((f"velocity at level {level:.4g}", result))
    return trace


def _noted(trace: Trace, name: str, channels_first: bool) -> Callable:
    """A hook that appends a layer's result [1, T, C] or [1, C, T], channels last."""
    return lambda _, args, out: trace.append((name, (out[0].T if channels_first else out[0]).clone()))


def _source_noise(plan: CheckedPlan, frames: int) -> Tensor:
    """[T·hop], a function of the sizes alone."""
    return noise.gaussian(0, 0, 0, frames, plan.acoustic_config.mel.hop_samples).flatten()


def _speakers(plan: CheckedPlan) -> list[int]:
    return sorted({0, plan.acoustic_config.speakers - 1})


def _levels(plan: CheckedPlan) -> list[float]:
    return sorted({plan.levels[0], plan.levels[len(plan.levels) // 2], plan.levels[-1]}, reverse=True)
