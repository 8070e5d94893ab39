"""Bootstrap intervals of means (Efron 1979), paired where two systems converted the same clips.

Clips are drawn with replacement, each with all its systems, so a difference of two systems is over the same clips.
Clips that share a singer or a song are taken as independent: with few singers, the intervals say nothing about other
singers.
"""

from __future__ import annotations

import numpy as np

DRAWS = 2000
LEVEL = 0.95


def mean_interval(values, seed: int = 0, level: float = LEVEL) -> tuple[float, float, float]:
    """(mean, low, high) of ``values`` [clips] without NaN; all NaN without any value.

    With one clip there is no interval: low and high are NaN.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return (float("nan"),) * 3
    if len(values) == 1:
        return float(values[0]), float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(0, len(values), (DRAWS, len(values)))
    edge = 50.0 * (1.0 - level)
    low, high = np.percentile(values[draws].mean(axis=1), [edge, 100.0 - edge])
    return float(values.mean()), float(low), float(high)


def difference_interval(a, b, seed: int = 0, level: float = LEVEL) -> tuple[float, float, float]:
    """(mean, low, high) of a - b over the clips that have both; ``a`` and ``b`` [clips] in the same order."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"difference_interval: {a.shape} and {b.shape} clips cannot be paired")
    return mean_interval(a - b, seed, level)
