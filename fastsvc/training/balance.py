"""The weight of each loss: a ramp over the budget, times a scale that is measured once.

A divergence, a cosine and a pitch in semitones share no unit, and early gradients of CTC and verifier dwarf the
gradient of distribution matching (DMOSpeech, arXiv 2410.11097). So the norms of their gradients at x̂ are compared over
the first steps of each loss with that of one loss (distribution matching, or the mel's distance); after them its scale
is fixed.
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
    """One loss. From ``start`` on (a share of the budget) its weight grows to ``weight`` over ``ramp``.

    match: ``equal`` scales its gradient norm to that of distribution matching, ``cap`` to at most that; ``none``: no
    scaling.
    """

    weight: float = 0.0
    start: float = 0.0
    ramp: float = 0.0
    match: str = "none"

    def __post_init__(self):
        if self.match not in MATCHES:
            raise ConfigError(f"losses: match is {self.match!r}", f"use {', '.join(MATCHES)}")
        within("losses", self, weight=(0, 1e6), start=SHARE, ramp=SHARE)

    def weight_at(self, progress: float) -> float:
        """The weight when ``progress`` of the budget is used up; 0 before the start."""
        if progress < self.start or not self.weight:
            return 0.0
        return self.weight * min(1.0, (progress - self.start) / self.ramp if self.ramp else 1.0)

    def active(self, progress: float) -> bool:
        """Whether it is computed, even with the zero weight at the start of its ramp."""
        return self.weight > 0 and progress >= self.start


def check_reference(name: str, term: Term) -> None:
    """Raises ConfigError where the loss that others are compared with is not there from the first step on."""
    if not term.weight:
        raise ConfigError(f"task.losses.{name} has no weight", "set one: every other loss is measured against it")
    if term.start or term.ramp:
        raise ConfigError(f"task.losses.{name} cannot start late", "omit its start and ramp")


class Balance(nn.Module):
    """The measured scales, as buffers, so that a resumed run keeps them. Has no parameter."""

    def __init__(self, terms: dict[str, Term], steps: int):
        super().__init__()
        self.terms, self.steps = terms, steps
        self.positions = {name: position for position, name in enumerate(terms)}
        self.register_buffer("norms", torch.zeros(len(terms), 2, dtype=torch.float64))  # sums: own, matching's
        self.register_buffer("count", torch.zeros(len(terms), dtype=torch.int64))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest) -> None:
        """Terms that were added behind the others, since a run began, have not been measured in it."""
        for name in ("norms", "count"):
            held, own = state_dict.get(prefix + name), getattr(self, name)
            if isinstance(held, Tensor) and held.shape[1:] == own.shape[1:] and len(held) < len(own):
                state_dict[prefix + name] = torch.cat([held, torch.zeros_like(own[len(held) :]).to(held)])
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def observe(self, name: str, norm: Tensor, matching_norm: Tensor) -> None:
        """Add the gradient norms of one step, as mean over all processes, until ``steps`` are counted.

        A step with a zero norm (no transcript in the batch, scores that agree) does not count. The gradient of
        matching is small in the first steps, so terms measured there stay small: start them late.
        """
        position = self.positions[name]
        if self.terms[name].match == "none" or self.count[position] >= self.steps:
            return
        norms = parallel.mean(torch.stack([norm, matching_norm]).double())
        if bool((norms > 0).all()):
            self.norms[position] += norms
            self.count[position] += 1

    def scale(self, name: str) -> float:
        """The factor of the term's weight; 1 before the first observation."""
        position, match = self.positions[name], self.terms[name].match
        if match == "none" or not self.count[position]:
            return 1.0
        norm_sum, matching_sum = self.norms[position].tolist()
        return matching_sum / norm_sum if match == "equal" else min(1.0, matching_sum / norm_sum)

    def summed(
        self, values: dict[str, Tensor], x: Tensor, leaf: Tensor, reference: str, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(a scalar with the value and, for what made ``x``, the gradient of the weighted sum; figures to log).

        ``values``: losses as functions of ``leaf``, which is x without its graph; ``reference``: the one that the
        others are compared with.
        """
        pulls = {name: torch.autograd.grad(value, leaf, retain_graph=True)[0] for name, value in values.items()}
        norms = {name: pull.norm() for name, pull in pulls.items()}
        total, pull, figures = 0.0, torch.zeros_like(leaf), {}
        for name, value in values.items():
            if name != reference:
                self.observe(name, norms[name], norms[reference])
            weight = self.terms[name].weight_at(progress) * self.scale(name)
            total, pull = total + weight * value.detach(), pull + weight * pulls[name]
            figures |= {name: value.detach(), f"pull_{name}": weight * norms[name]}
        through = (x * pull).sum()
        return through - through.detach() + total, figures
