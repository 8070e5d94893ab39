"""A sampler's schedule in the kernels' update form, x ← keep·x + pull·D + past·D' + spread·noise, where it has one.

The samplers themselves are in fastsvc/model/sampler.py and solver.py; tests compare these numbers with theirs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from fastsvc.config import AcousticConfig
from fastsvc.kernels.denoiser.network import Update, consistency_updates, euler_updates
from fastsvc.model import schedule, solver


@dataclass(frozen=True)
class FusedSchedule:
    """x starts as carry·(normalised mel to refine) + spread·noise; evaluation i is at ``levels[i]``, then update i."""

    levels: tuple[float, ...]
    updates: tuple[Update, ...]
    spread: float
    carry: float = 0.0


def fused(config: AcousticConfig, method: str, levels: list[float], refine: bool = False) -> FusedSchedule | None:
    """The schedule over ``levels``, or None where the update form cannot express it; ``refine``: it starts at a mel."""
    evaluated = tuple(schedule.evaluated(method, levels))
    if config.ddpm is not None and method in ("ddim", "dpm++"):
        points = solver.chain(config.ddpm, levels)
        updates = ddim_updates(points) if method == "ddim" else dpm_updates(points)
        _, alpha, spread = points[0]
        return FusedSchedule(evaluated, tuple(updates), spread if refine else 1.0, alpha if refine else 0.0)
    if method not in ("consistency", "euler") or config.edm.noise_mean == "condition":
        return None
    if method == "consistency":
        updates = consistency_updates(levels, config.edm.sigma_min)
    else:
        updates = euler_updates(levels)
    return FusedSchedule(evaluated, tuple(updates), levels[0])


def ddim_updates(points: list[solver.ChainPoint]) -> list[Update]:
    return [Update(*solver.step_coefficients(before, after)[1:]) for before, after in itertools.pairwise(points)]


def dpm_updates(points: list[solver.ChainPoint]) -> list[Update]:
    """DPM-Solver++(2M): x0 is extrapolated from two estimates, except in the first step and the last of few steps."""
    steps, h_before, updates = len(points) - 1, 0.0, []
    for step, (before, after) in enumerate(itertools.pairwise(points), start=1):
        h, keep, pull = solver.step_coefficients(before, after)
        remember = step < steps
        if step == 1 or (step == steps and steps < solver.FEW):
            updates.append(Update(keep, pull, remember=remember))
        else:
            ahead = h / (2 * h_before)
            updates.append(Update(keep, pull * (1 + ahead), -pull * ahead, remember=remember))
        h_before = h
    return updates
