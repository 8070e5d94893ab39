"""How much each loss counts: a ramp over the budget, times a scale that is measured once.

A divergence, a cosine and a pitch in semitones share no unit, and early gradients of CTC and verifier dwarf that of
distribution matching (DMOSpeech, arXiv 2410.11097). So the norms of their gradients at x̂ are compared, over the first
steps in which a loss takes part; after that its scale stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastsvc.config.limits import SHARE
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError
from fastsvc.training import parallel

MATCHES = ("equal", "cap", "none")


@dataclass(frozen=True)
class Term:
    """One loss. From ``start`` on (a share of the budget) it grows to ``weight`` over ``ramp``.

    match: ``equal`` gives it the gradient norm of distribution matching, ``cap`` at most that, ``none`` leaves it.
    """

    weight: float = 0.0
    start: float = 0.0
    ramp: float = 0.0
    match: str = "none"

    def __post_init__(self):
        if self.match not in MATCHES:
            raise ConfigError(f"losses: match is {self.match!r}", f"use {', '.join(MATCHES)}")
        within("losses", self, weight=(0, 1e6), start=SHARE, ramp=SHARE)

    def at(self, progress: float) -> float:
        """The weight when ``progress`` of the budget is used up; 0 before the start."""
        if progress < self.start or not self.weight:
            return 0.0
        return self.weight * min(1.0, (progress - self.start) / self.ramp if self.ramp else 1.0)

    def active(self, progress: float) -> bool:
        """Whether it takes part, if only with the first, zero, weight of its ramp."""
        return self.weight > 0 and progress >= self.start


class Balance(nn.Module):
    """The measured scales, as buffers, so that a resumed run goes on with them. Has no parameter."""

    def __init__(self, terms: dict[str, Term], steps: int):
        super().__init__()
        self.terms, self.steps = terms, steps
        self.places = {name: place for place, name in enumerate(terms)}
        self.register_buffer("norms", torch.zeros(len(terms), 2, dtype=torch.float64))  # sums: own, matching's
        self.register_buffer("count", torch.zeros(len(terms), dtype=torch.int64))

    def observe(self, name: str, own: Tensor, matching: Tensor) -> None:
        """Take note of the gradient norms of one step, the mean over all processes, until there are enough.

        A step in which either said nothing (no transcript in the batch, scores that agree) does not count. Terms that
        take part from the first step are measured by a gradient that is still small, and stay small: start them late.
        """
        place = self.places[name]
        if self.terms[name].match == "none" or self.count[place] >= self.steps:
            return
        both = parallel.mean(torch.stack([own, matching]).double())
        if bool((both > 0).all()):
            self.norms[place] += both
            self.count[place] += 1

    def scale(self, name: str) -> float:
        """What the term's weight is multiplied by; 1 until something was observed."""
        place, match = self.places[name], self.terms[name].match
        if match == "none" or not self.count[place]:
            return 1.0
        own, matching = self.norms[place].tolist()
        return matching / own if match == "equal" else min(1.0, matching / own)
