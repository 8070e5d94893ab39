"""The fake score: a denoiser of the student's present samples, conditioned on the evaluation that made them.

For one condition, samples of one step hardly vary; samples of four steps do. A fake score that took both for one
distribution would be too wide for the one and too narrow for the other, and matching would drive the student of four
steps beyond the teacher's own spread. So each evaluation adds its own vector to the condition. The first evaluation
does the same in every schedule, so all schedules share its vector. The vectors begin at zero, where the fake score
equals the teacher. (DMOSpeech, arXiv 2410.11097, conditions its fake score on the student's step likewise.)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FakeScore(nn.Module):
    """A copy of a teacher's network, and a vector [H] of its condition for each of the student's evaluations."""

    def __init__(self, denoiser: nn.Module, cond_channels: int, schedules: Sequence[Sequence[float]]):
        super().__init__()
        self.net = copy.deepcopy(denoiser).requires_grad_(True)
        later = [len(levels) - 1 for levels in schedules]
        self.first_rows = [sum(later[:index]) for index in range(len(schedules))]
        self.origin = nn.Embedding(1 + sum(later), cond_channels)
        nn.init.zeros_(self.origin.weight)

    def origin_index(self, choice: tuple[int, int]) -> int:
        """The row of (schedule, evaluation); 0: the first evaluation of any schedule."""
        schedule, evaluation = choice
        return self.first_rows[schedule] + evaluation if evaluation else 0

    def condition(self, cond: Tensor, origin: Tensor) -> Tensor:
        """The teacher's cond [B, T, H], origin [B] → the condition of :attr:`net`."""
        return cond + self.origin(origin)[:, None]


def with_origin(batch: dict, number: int) -> dict:
    """The batch with ``origin`` [B]: the row of the evaluation that makes its samples."""
    singer = batch["singer"]
    return batch | {"origin": torch.full((len(singer),), number, device=singer.device)}
