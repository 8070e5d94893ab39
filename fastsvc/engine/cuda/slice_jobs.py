"""Slices of recordings, with what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fastsvc.engine.cpu.sampler import Noise, SeededNoise
from fastsvc.engine.cuda.denoiser import Slice


@dataclass(frozen=True)
class SliceJob:
    """A slice with what becomes of it: frames [first, last) of recording ``item``, of those from ``slice.first`` on."""

    slice: Slice
    item: int
    first: int
    last: int
    noise: Noise
    cond: Tensor | None = None  # [T, H], where it does not come from the kernels
    given: Tensor | None = None  # [T, M], a normalised mel to refine

    @property
    def refined(self) -> Tensor:
        """The mel to refine, which there is."""
        assert self.given is not None
        return self.given

    def draw(self, step: int, device) -> Tensor:
        """Noise [T, M] of a step, on the device."""
        noise = replace(self.noise, device=device) if isinstance(self.noise, SeededNoise) else self.noise
        start = self.slice.first
        return noise(step, start, start + len(self.slice)).to(device)


def stacked_rows(jobs: Sequence[SliceJob], like: Tensor, of: Callable[[SliceJob], Tensor]) -> Tensor:
    """[B, T, M] as ``like``: ``of`` each job a row, and zeros after its end."""
    whole = torch.zeros_like(like)
    for row, job in enumerate(jobs):
        value = of(job)
        whole[row, : len(value)] = value
    return whole
