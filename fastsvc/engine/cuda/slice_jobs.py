"""Slices of recordings, with their noise and the frames of the result that they compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fastsvc.engine.cpu.sampler import Noise, SeededNoise
from fastsvc.engine.cuda.staging import Slice


@dataclass(frozen=True)
class SliceJob:
    """A slice that computes frames [first, last) of one recording, and itself begins at frame ``slice.first``."""

    slice: Slice
    recording: int  # index
    first: int
    last: int
    noise: Noise
    cond: Tensor | None = None  # [T, H], where it does not come from the kernels
    start_mel: Tensor | None = None  # [T, M], a normalised mel to refine

    @property
    def in_kernels(self) -> bool:
        """Whether the kernels can make condition and noise themselves. They draw with deviation 1, as a graph for each
        other deviation would cost memory without end."""
        return self.cond is None and isinstance(self.noise, SeededNoise) and self.noise.scale == 1.0

    @property
    def required_start_mel(self) -> Tensor:
        """``start_mel`` of a job that has one."""
        assert self.start_mel is not None
        return self.start_mel

    def draw(self, step: int, device) -> Tensor:
        """Noise [T, M] of a step, on the device."""
        noise = replace(self.noise, device=device) if isinstance(self.noise, SeededNoise) else self.noise
        start = self.slice.first
        return noise(step, start, start + len(self.slice)).to(device)


def stacked_rows(jobs: Sequence[SliceJob], like: Tensor, of: Callable[[SliceJob], Tensor]) -> Tensor:
    """[B, T, M] as ``like``: row i is ``of(jobs[i])``, continued with zeros."""
    rows = torch.zeros_like(like)
    for row, job in enumerate(jobs):
        value = of(job)
        rows[row, : len(value)] = value
    return rows
