"""Every kernel start that an engine may make on a GPU, over tensors without storage: what to compile ahead of time."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from fastsvc.config import AcousticConfig, VocoderConfig
from fastsvc.engine import schedules
from fastsvc.engine.cuda_denoiser import Program, table, without_storage
from fastsvc.engine.cuda_vocoder import Inputs
from fastsvc.engine.ladder import Ladder
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.tiles import power_of_two
from fastsvc.model import schedule


def launches(
    config: AcousticConfig,
    vocoder: VocoderConfig | None,
    method: str,
    by_steps: dict[int, list[float]],
    refine: bool,
    dtype: torch.dtype,
    arch: int,
    shapes=None,
) -> Iterator[Launch]:
    """Those of all ``shapes`` (the ladder's) and schedules, many of them alike but for their buffers."""
    levels = sorted({level for row in by_steps.values() for level in schedule.evaluated(method, row)}, reverse=True)
    weights, known = without_storage(config, len(levels), dtype), table(config, levels)
    plans = [schedules.fused(config, method, row, refine) for row in by_steps.values()]
    plans = [plan for plan in plans if plan is not None]
    for shape in Ladder().shapes() if shapes is None else shapes:
        program = Program(weights, config, known, shape, arch, torch.zeros)
        yield from program.launches(plans, levels[:1], conditioned=config.amphion is None)
    if vocoder is not None and vocoder.source != "sine":
        yield source(vocoder)


def source(config: VocoderConfig) -> Launch:
    """The harmonic source's start, which is compiled alike for all shapes."""
    inputs = Inputs(config, 1, 4, "meta")
    weight = torch.empty(power_of_two(config.source_channels), device="meta")
    return inputs.source(config, weight, torch.empty(1, device="meta"))
