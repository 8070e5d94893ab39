"""All kernel launches that an engine may make on a GPU, over tensors without storage, for compiling ahead of time."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from fastsvc.config import AcousticConfig, AnyAcousticConfig, AnyVocoderConfig, VocoderConfig
from fastsvc.engine import buckets
from fastsvc.engine.buckets import Buckets
from fastsvc.engine.cuda import joined, schedules
from fastsvc.engine.cuda.conditions import condition_for
from fastsvc.engine.cuda.denoiser import DenoiserProgram, level_table, without_storage
from fastsvc.engine.cuda.generators import triton_backend
from fastsvc.engine.cuda.vocoder_inputs import VocoderInputs, by_kernel
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.vocoder import source as source_kernel
from fastsvc.model import schedule


def launches(
    config: AnyAcousticConfig,
    vocoder: AnyVocoderConfig | None,
    method: str,
    by_steps: dict[int, list[float]],
    refine: bool,
    dtype: torch.dtype,
    arch: int,
    shapes=None,
    audio_shapes=None,
) -> Iterator[Launch]:
    """The launches of all ``shapes`` (by default all buckets) and schedules; many differ in their buffers alone.

    The vocoder's launches are those of ``audio_shapes`` (by default all its prepared shapes), in :func:`audio_type` of
    the acoustic model's ``dtype``. The acoustic part of RVC's voices has no kernels of its own.
    """
    if isinstance(config, AcousticConfig):
        yield from denoiser(config, method, by_steps, refine, dtype, arch, shapes)
    if isinstance(vocoder, VocoderConfig) and by_kernel(vocoder):
        yield source(vocoder)
    if isinstance(vocoder, VocoderConfig):  # no kernels compute the others
        yield from generator(vocoder, audio_type(dtype), arch, audio_shapes)


def denoiser(
    config: AcousticConfig,
    method: str,
    by_steps: dict[int, list[float]],
    refine: bool,
    dtype: torch.dtype,
    arch: int,
    shapes=None,
) -> Iterator[Launch]:
    """The launches of a diffusion model, as :func:`launches`; with all layers in one launch, too, where requested."""
    levels = sorted({level for row in by_steps.values() for level in schedule.evaluated(method, row)}, reverse=True)
    weights, level_rows = without_storage(config, len(levels), dtype), level_table(config, levels)
    plans = [schedules.fused(config, method, row, refine) for row in by_steps.values()]
    plans = [plan for plan in plans if plan is not None]
    for shape in Buckets().shapes() if shapes is None else shapes:
        program = DenoiserProgram(weights, config, level_rows, shape, arch, torch.zeros)
        yield from program.launches(plans, levels[:1], conditioned=condition_for(config).in_graphs)
        if joined.requested() and program.net.can_join:
            yield from program.together().launches(plans, levels[:1], conditioned=False)


def source(config: VocoderConfig) -> Launch:
    """The harmonic source's launch, which compiles to the same kernel for all shapes."""
    inputs = VocoderInputs(config, 1, 4, "meta")
    weight = torch.empty(source_kernel.width(config.source_channels), device="meta")
    return inputs.source(config, weight, torch.empty(1, device="meta"))


def audio_type(dtype: torch.dtype) -> torch.dtype:
    """The vocoder's type for a denoiser's: float16 in place of bfloat16, because audio needs more than its 9 bits."""
    return torch.float32 if dtype == torch.float32 else torch.float16


def generator(config: VocoderConfig, dtype: torch.dtype, arch: int, shapes=None) -> Iterator[Launch]:
    """The generator's launches for ``shapes``, by default all: each different kernel at least once."""
    weights = triton_backend.without_storage(config, dtype)
    for batch, frames in vocoder_shapes() if shapes is None else shapes:
        buffers = triton_backend.generator(weights, config, batch, frames, arch, empty)
        yield from triton_backend.launches(buffers, VocoderInputs(config, batch, frames, "meta"))


def vocoder_shapes() -> list[tuple[int, int]]:
    """(batch, frames) for each product batch · frames, on which blocks depend; shorter recordings have the blocks of
    the shortest shape."""
    return list(
        {batch * frames: (batch, frames) for batch in buckets.EVEN_BATCHES for frames in buckets.EVEN_FRAMES}.values()
    )


def empty(*shape: int, dtype: torch.dtype, device=None) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")
