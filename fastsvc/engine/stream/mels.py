"""Condition rows → mel of a stream, by denoiser layers whose final rows are kept from block to block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastsvc.engine.cpu.denoiser_rows import Evaluation, RowsDenoiser
from fastsvc.engine.cpu.rows import Rows
from fastsvc.engine.cpu.sampler import MelSampler, Noise
from fastsvc.engine.stream.draws import Draws
from fastsvc.engine.stream.settled import Span
from fastsvc.model import sampler, schedule


@dataclass(frozen=True)
class Mels:
    """``rows`` [n, M]: the log-mel of a block and of frames after it. ``kept``: of each evaluation."""

    rows: Tensor
    kept: list[Evaluation]


class MelMaker:
    """Each evaluation has rows of its own. Rows are kept for the consistency sampler, where an evaluation uses no
    other row of an earlier one's x than its own; for the others each block computes all rows that its mel depends on.
    """

    def __init__(self, model: MelSampler, steps: int, noise: Noise):
        self.model, self.levels = model, model.schedules[steps]
        self.denoiser = RowsDenoiser(model.denoiser)
        self.reaches = self.denoiser.reaches * schedule.evaluations(model.method, self.levels)
        self.keeps = model.method == "consistency"
        self.noise = Draws(noise, model.config.mel.bins)
        self.kept: list[Evaluation] = []

    def clear(self) -> None:
        self.kept = []
        self.noise.clear()

    def rows(self, span: Span, last: int) -> Rows:
        """Rows that the mel of the frames from the block's first one up to ``last`` takes."""
        settled = (span.first, span.last) if self.keeps else (0, 0)
        return Rows.of(self.reaches, span.first, last, span.total, settled)

    def make(self, cond: Tensor, rows: Rows) -> Mels:
        """cond [T, H], whose row 0 is ``rows.begin``."""
        after: list[Evaluation] = []
        per_evaluation = len(self.denoiser.reaches)

        def denoise(x: Tensor, sigma: float) -> Tensor:
            before = self.kept[len(after)] if self.kept else None
            x, one = self.denoiser(x, sigma, cond, rows, len(after), before)
            after.append(one)
            return x

        def noise(step: int) -> Tensor:
            place = step * per_evaluation
            drawn = torch.zeros(rows.end - rows.begin, self.model.config.mel.bins)
            first, last = rows.computed(place) if self.keeps else (rows.begin, rows.end)
            drawn[first - rows.begin : last - rows.begin] = self.noise.rows(step, first, last)
            return drawn

        model = self.model
        x = sampler.sample(model.config, model.method, denoise, self.levels, noise, cond)
        x = x[rows.starts[-1] - rows.begin : rows.ends[-1] - rows.begin]
        return Mels(x.add(1).mul_((model.high - model.low) / 2).add_(model.low), after)

    def settle(self, mels: Mels) -> None:
        if self.keeps:
            self.kept = mels.kept
