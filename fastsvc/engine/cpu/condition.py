"""The lowered condition on a CPU: one matrix product, scaled vectors, rows of tables and a vector of the utterance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.config import AcousticConfig
from fastsvc.model import pulse_mel


class CpuCondition:
    """Features of one sequence → cond, from lowered tensors (fastsvc/artifact/lowered.py)."""

    def __init__(self, tensors: dict[str, Tensor], config: AcousticConfig):
        part = {n.removeprefix("condition."): t.float() for n, t in tensors.items() if n.startswith("condition.")}
        self.units, self.f0, self.volume, self.speakers = (part[n] for n in ("units", "f0", "volume", "speakers"))
        self.key_shift, self.voiced, self.pulses = (part.get(n) for n in ("key_shift", "voiced", "pulses"))

    def speaker(self, weights: dict[int, float], key_shift: float = 0.0) -> Tensor:
        """The vector [H] of an utterance: a weighted sum of speakers (their weights sum to 1) and the key shift."""
        vector = sum((weight * self.speakers[row] for row, weight in weights.items()), self.speakers.new_zeros(()))
        return vector if self.key_shift is None else vector + key_shift * self.key_shift

    def __call__(self, units: Tensor, f0_hz: Tensor, volume: Tensor, voiced: Tensor, speaker: Tensor) -> Tensor:
        """units [T, U], f0_hz, volume and voiced [T], speaker [H] → cond [T, H]."""
        cond = torch.addmm(speaker, units, self.units)
        cond.addcmul_(torch.log1p(f0_hz / 700)[:, None], self.f0)
        cond.addcmul_(volume[:, None], self.volume)
        if self.voiced is not None:
            cond.addcmul_(voiced.to(cond.dtype)[:, None], self.voiced)
        if self.pulses is not None:
            cond.add_(pulse_mel.interpolated(self.pulses, f0_hz, voiced))
        return cond

    def over(self, features, speaker: Tensor) -> Callable[[int, int], Tensor]:
        """(start, end) → cond of these frames of a recording (fastsvc.engine.cpu.sampler.Features)."""

        def part(start: int, end: int) -> Tensor:
            units = features.units[features.unit_indices[start:end]].float()
            f0_hz, volume, voiced = (row[start:end] for row in (features.f0_hz, features.volume, features.voiced))
            return self(units, f0_hz, volume, voiced, speaker)

        return part
