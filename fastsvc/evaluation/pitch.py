"""How well a melody was kept: correlation, deviation in cents and voicing of two f0 tracks on one frame grid.

A track is (f0_hz [frames], voiced bool [frames]); f0 in unvoiced frames is never used. Every function returns NaN
where its figure does not exist (fewer than two voiced frames, a constant track), never 0 or 1.

There are two correlations, because papers that report "FPC" rarely say which. ``fpc_all`` takes all frames, with
zeros where unvoiced, as Amphion's evaluation does (github.com/open-mmlab/Amphion, evaluation/metrics/f0): a good part
of it is voicing. ``fpc_voiced`` takes log f0 over the frames voiced in both: the melody alone.
"""

from __future__ import annotations

import numpy as np


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two [N]; NaN when either has fewer than two values or does not vary."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(a) < 2:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 1e-12 else float("nan")


def fpc_voiced(f0_hz, voiced, true_hz, true_voiced) -> float:
    """Correlation of log f0 over the frames that both call voiced. Blind to a constant transposition."""
    both = np.asarray(voiced, bool) & np.asarray(true_voiced, bool)
    return pearson(np.log(np.asarray(f0_hz, np.float64)[both]), np.log(np.asarray(true_hz, np.float64)[both]))


def fpc_all(f0_hz, voiced, true_hz, true_voiced) -> float:
    """Correlation of f0 in Hz over all frames, unvoiced ones as 0 (Amphion's FPC, without its median subtraction)."""
    return pearson(np.where(voiced, f0_hz, 0.0), np.where(true_voiced, true_hz, 0.0))


def deviation_cents(f0_hz, voiced, true_hz, true_voiced) -> np.ndarray:
    """1200 log2(f0 / true) of each frame voiced in both -> [N]."""
    both = np.asarray(voiced, bool) & np.asarray(true_voiced, bool)
    ratio = np.asarray(f0_hz, np.float64)[both] / np.asarray(true_hz, np.float64)[both]
    return 1200.0 * np.log2(ratio)


def rmse_cents(f0_hz, voiced, true_hz, true_voiced) -> float:
    """Root mean square of :func:`deviation_cents`. One octave error in a hundred frames alone makes 120 cents."""
    cents = deviation_cents(f0_hz, voiced, true_hz, true_voiced)
    return float(np.sqrt(np.mean(cents**2))) if len(cents) else float("nan")


def voicing_f1(voiced, true_voiced) -> float:
    """F1 of "voiced": 2 TP / (2 TP + FP + FN); NaN when neither track is ever voiced."""
    voiced, true_voiced = np.asarray(voiced, bool), np.asarray(true_voiced, bool)
    hits = 2 * int((voiced & true_voiced).sum())
    wrong = int((voiced ^ true_voiced).sum())
    return hits / (hits + wrong) if hits + wrong else float("nan")


def median_hz(f0_hz, voiced) -> float:
    """Median f0 over the voiced frames; NaN when there are none."""
    voiced = np.asarray(voiced, bool)
    return float(np.median(np.asarray(f0_hz)[voiced])) if voiced.any() else float("nan")


def compare(track, truth) -> dict[str, float]:
    """All of the above of two tracks (f0_hz, voiced), by name, as the tables use them."""
    return {
        "fpc_voiced": fpc_voiced(*track, *truth),
        "fpc_all": fpc_all(*track, *truth),
        "f0_rmse_cents": rmse_cents(*track, *truth),
        "voicing_f1": voicing_f1(track[1], truth[1]),
    }


def exact_track(f0_hz, hop_s: float, frames: int, frame_hop_s: float) -> tuple[np.ndarray, np.ndarray]:
    """A score's f0 (value i at i * hop_s, 0 where unvoiced) at the middles of mel frames -> (f0_hz, voiced) [frames].

    A frame is voiced where the nearer of its two neighbours is; log f0 runs linearly between voiced neighbours.
    """
    f0_hz = np.asarray(f0_hz, np.float64)
    position = np.minimum((np.arange(frames) + 0.5) * frame_hop_s / hop_s, max(len(f0_hz) - 1, 0))
    left = np.floor(position).astype(int)
    right = np.minimum(left + 1, len(f0_hz) - 1)
    part = position - left
    near = np.where(part < 0.5, f0_hz[left], f0_hz[right])
    both = (f0_hz[left] > 0) & (f0_hz[right] > 0)
    low, high = (np.log(np.where(both, f0_hz[side], 1.0)) for side in (left, right))
    return np.where(both, np.exp(low + part * (high - low)), near), near > 0
