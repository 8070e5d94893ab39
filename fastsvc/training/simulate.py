"""The few-step student as in use: the chain from noise, with a gradient through its last step alone.

DMD2 (arXiv 2405.14867, §4.5) trains a student of several steps on the outputs of its own earlier steps, not on noised
data, so that training and use have the same inputs. Conversion leaves no choice: its true mel does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from fastsvc.config import EdmConfig
from fastsvc.errors import ConfigError
from fastsvc.training.diffusion import Denoise

# Levels after σmax of 1, 2 and 4 steps, in units of σd (σ = σd · 2 tan(πt/2) of DMOSpeech's t): how much a noise level
# hides depends on the mel's deviation for a known condition.
BELOW = ((), (1.64,), (4.8, 2.0, 0.82))


def schedules(config: EdmConfig, steps: Sequence[int], below: Sequence[Sequence[float]] = BELOW) -> list[list[float]]:
    """The levels of each count of steps, from σmax down; ``below`` is in units of σd.

    Raises ConfigError for a count without levels in ``below``.
    """
    levels_by_count = {len(levels) + 1: list(levels) for levels in below}
    unknown = [count for count in steps if count not in levels_by_count]
    if unknown or not steps:
        raise ConfigError(
            f"task.steps: no levels are known for {', '.join(map(str, unknown)) or 'none'}",
            f"use {', '.join(map(str, sorted(levels_by_count)))}, or set task.below",
        )
    return [[config.sigma_max, *(config.sigma_data * level for level in levels_by_count[count])] for count in steps]


def drawn(schedules: Sequence[Sequence[float]], *seed: int) -> tuple[int, int]:
    """(schedule, evaluation) of one update, both drawn evenly from ``seed``."""
    rng = np.random.default_rng(seed)
    schedule = int(rng.integers(len(schedules)))
    return schedule, int(rng.integers(len(schedules[schedule])))


def chain(
    denoise: Denoise,
    levels: Sequence[float],
    last: int,
    noise: Callable[[int], Tensor],
    sigma_min: float,
    origin: Tensor | None = None,
) -> Tensor:
    """x̂ of evaluation ``last`` (from 0) of the consistency sampler over ``levels``; noise(step) → [B, T, M].

    Evaluations before it leave no graph, so memory does not depend on ``last``. ``origin`` [B, T, M]: the mel under the
    first noise; None: the first level hides it.
    """
    x = noise(0) * levels[0]
    x = x if origin is None else origin + x
    size = len(x)
    with torch.no_grad():
        for step in range(last):
            clean = denoise(x, x.new_full((size,), levels[step]))
            x = clean + (levels[step + 1] ** 2 - sigma_min**2) ** 0.5 * noise(step + 1)
    return denoise(x, x.new_full((size,), levels[last]))
