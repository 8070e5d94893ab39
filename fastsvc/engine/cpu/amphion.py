"""Amphion's condition on a CPU: the specification's module itself, over stretches of 10 s (fastsvc/model/amphion.py).

Its attention reaches over the whole stretch, so nothing can be lowered and no halo would make cutting exact. Stretches
belong to the recording, not to the denoiser's blocks: how the denoiser cuts still changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from fastsvc.artifact.lowered import AMPHION
from fastsvc.config import AcousticConfig
from fastsvc.model.amphion import OVERLAP_S, SEGMENT_S, AmphionCondition, faded
from fastsvc.model.keys import skeleton


class CpuAmphionCondition:
    """Features of one sequence → cond; the interface of :class:`fastsvc.engine.cpu.condition.CpuCondition`."""

    def __init__(self, tensors: dict[str, Tensor], config: AcousticConfig):
        amphion = config.amphion
        if amphion is None:
            raise ValueError("the model's condition is not Amphion's")
        module = skeleton(lambda: AmphionCondition(amphion, config.condition))
        named = {n.removeprefix(AMPHION): t.float() for n, t in tensors.items() if n.startswith(AMPHION)}
        module.load_state_dict(named, assign=True)
        self.module = module.eval().requires_grad_(False)
        rate_hz = config.mel.frame_rate_hz
        self.segment, self.overlap = round(SEGMENT_S * rate_hz), round(OVERLAP_S * rate_hz)

    def speaker(self, weights: dict[int, float], key_shift: float = 0.0) -> Tensor:
        """The vector [C] of a singer, or a weighted sum of several; there is no key shift."""
        table = self.module.encoder.singer_encoder.nn.weight
        return sum((weight * table[row] for row, weight in weights.items()), table.new_zeros(()))

    def __call__(self, units: Tensor, f0_hz: Tensor, volume: Tensor, voiced: Tensor, speaker: Tensor) -> Tensor:
        """units [T, U], f0_hz, volume and voiced [T], speaker [C] → cond [T, M], in one stretch."""
        parts = (part[None] for part in (units.float(), f0_hz, volume, speaker, voiced))
        return self.module.of_singer(*parts)[0]

    def of_recording(self, features, speaker: Tensor) -> Tensor:
        """cond [T, M] of a recording's features (fastsvc.engine.cpu.sampler.Features)."""

        def part(start: int, end: int) -> Tensor:
            units = features.units[features.unit_indices[start:end]]
            f0_hz, volume, voiced = (row[start:end] for row in (features.f0_hz, features.volume, features.voiced))
            return self(units, f0_hz, volume, voiced, speaker)

        return faded(len(features.f0_hz), self.segment, self.overlap, part)

    def over(self, features, speaker: Tensor) -> Callable[[int, int], Tensor]:
        """(start, end) → cond of these frames; the recording's whole cond is computed beforehand, once."""
        cond = self.of_recording(features, speaker)
        return lambda start, end: cond[start:end]
