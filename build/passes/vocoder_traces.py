"""What a vocoder gives on a small input, stage by stage: by its specification, and by the engine's own form."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.config import AnyVocoderConfig, SourceFilterConfig, VocoderConfig
from fastsvc.engine.cpu.source_filter import SourceFilterVocoder
from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.model import filters, pulses, vocoders
from fastsvc.model.modules import module

FRAMES, FILTER_FRAMES = 11, 37  # the latter is longer than most halos, and cheap at the rate of frames
Trace = list[tuple[str, Tensor]]


def specification(config: AnyVocoderConfig, tensors: dict[str, Tensor], dtype: torch.dtype) -> Trace:
    """The module of model/, computing in ``dtype``."""
    model = module("vocoder", config)
    model.load_state_dict(tensors)
    model = model.to(dtype).eval()
    if isinstance(config, SourceFilterConfig):
        return _filters(model, *(value.to(dtype) for value in _filter_inputs(config)))
    sines, mel, extra = _inputs(config, tensors)
    sines, extra = (None if value is None else value.to(dtype) for value in (sines, extra))
    return _generated(model, sines, mel.to(dtype), extra)


def lowered(config: AnyVocoderConfig, tensors: dict[str, Tensor]) -> Trace:
    """The same quantities from the tensors as they will be stored, in float32."""
    if isinstance(config, SourceFilterConfig):
        trace: Trace = []
        excitation, mel, f0_hz = _filter_inputs(config)
        audio = SourceFilterVocoder(tensors, config)(mel, excitation, f0_hz, trace)
        return [*trace, ("the vocoder's output", audio)]
    vocoder = Vocoder(tensors, config)
    sines, mel, extra = _inputs(config, tensors)
    return _generated(vocoder, sines, mel, extra)


def _generated(vocoder, sines: Tensor | None, mel: Tensor, extra: Tensor | None) -> Trace:
    """What a generator's specification or form makes of its inputs."""
    if sines is None:
        return [("the vocoder's output", vocoder(mel, None, extra))]
    source = vocoder.source(sines)
    return [("the vocoder's source", source), ("the vocoder's output", vocoder(mel, source, extra))]


def _inputs(config: VocoderConfig, tensors: dict[str, Tensor]) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """(sines [1, T·source_hop_samples, source_channels], mel [1, T, M], noise [1, T, initial_channels] or an even
    mixture of all speakers [1, 1, initial_channels]); None for what the vocoder does not take."""
    generator = torch.Generator().manual_seed(0)
    mel, extra = torch.randn(1, FRAMES, config.mel.bins, generator=generator) - 2, None
    sines = 0.1 * torch.randn(1, FRAMES * config.source_hop_samples, config.source_channels, generator=generator)
    if config.noise_sigma:
        extra = torch.randn(1, FRAMES, config.initial_channels, generator=generator)
    if config.speakers:
        weights = dict.fromkeys(range(config.speakers), 1 / config.speakers)
        extra = vocoders.speaker_vector(tensors[vocoders.SPEAKERS], weights)[None, None]
    return sines if config.source_channels else None, mel, extra


def _filter_inputs(config: SourceFilterConfig) -> tuple[Tensor, Tensor, Tensor]:
    """(pulses and noise [1, T·hop, 2], mel [1, T, M], f0_hz [1, T] with unvoiced frames at the start and inside)."""
    generator = torch.Generator().manual_seed(0)
    mel = torch.randn(1, FILTER_FRAMES, config.mel.bins, generator=generator) - 2
    f0_hz = 100 + 400 * torch.rand(1, FILTER_FRAMES, generator=generator)
    f0_hz[:, :3] = f0_hz[:, 20:22] = 0
    return pulses.seeded(f0_hz, config), mel, f0_hz


def _filters(model, excitation: Tensor, mel: Tensor, f0_hz: Tensor) -> Trace:
    trace: Trace = []
    hooks = [model.enter.register_forward_hook(lambda _, args, out: trace.append(("what enters", out.transpose(1, 2))))]
    for i, block in enumerate(model.blocks):
        hooks.append(block.register_forward_hook(lambda _, args, out, i=i: trace.append((f"block {i}", out))))
    log_magnitude, gains = model.filters(mel, f0_hz)
    for hook in hooks:
        hook.remove()
    trace += [("the logarithms of the filters", log_magnitude), ("the gains", gains)]
    return [*trace, ("the vocoder's output", filters.filtered(excitation * gains, log_magnitude))]
