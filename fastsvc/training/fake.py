"""The fake score: a denoiser of what the student makes now, told which of the student's evaluations made it.

One step's samples hardly vary for a condition, those of four steps do. A fake score that took both for one distribution
would call the one too wide and the other too narrow, and matching would drive the student of four steps beyond the
teacher's own spread. So each evaluation adds a vector of its own to the condition; the first, which makes the same of
noise in every schedule, has one for all. They begin at zero, where the fake score is the teacher. (DMOSpeech, arXiv
2410.11097, tells its fake score the student's step likewise.)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastsvc.model.wavenet import WaveNet


class FakeScore(nn.Module):
    """A copy of a teacher's denoiser, and a vector [H] for each of the student's evaluations."""

    def __init__(self, denoiser: WaveNet, schedules: Sequence[Sequence[float]]):
        super().__init__()
        self.net = copy.deepcopy(denoiser).requires_grad_(True)
        later = [len(levels) - 1 for levels in schedules]
        self.before = [sum(later[:place]) for place in range(len(schedules))]
        self.origin = nn.Embedding(1 + sum(later), denoiser.config.cond_channels)
        nn.init.zeros_(self.origin.weight)

    def number(self, choice: tuple[int, int]) -> int:
        """The row of (schedule, evaluation); 0 is the first evaluation of them all."""
        schedule, evaluation = choice
        return self.before[schedule] + evaluation if evaluation else 0

    def condition(self, cond: Tensor, origin: Tensor) -> Tensor:
        """cond [B, T, H] of the teacher, origin [B] → what :attr:`net` takes."""
        return cond + self.origin(origin)[:, None]


def marked(batch: dict, number: int) -> dict:
    """The batch with ``origin`` [B], by which the fake score knows what made it."""
    singer = batch["singer"]
    return batch | {"origin": torch.full((len(singer),), number, device=singer.device)}
