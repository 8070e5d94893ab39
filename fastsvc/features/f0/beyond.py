"""Pitch outside a tracker's range, found by our YIN.

On ordinary recordings a model works best with the tracker, and the range, of its training. A wider range makes trackers
err where the narrow one did not, and FCPE does not find high voices at all (docs/f0.md has the figures). So trackers
work in their own ranges, and YIN's values are used only where YIN clearly finds a pitch outside.
"""

from __future__ import annotations

import numpy as np

WIDEST_HZ = (38.0, 2200.0)  # tracked by default: 40 to 2100 Hz, with a little room for vibrato
LEAST_S = 0.03  # shorter stretches outside are accidents
REACH_S = 0.05  # YIN's values are used this far to each side, where a tracker at the end of its range falters


def ranges(low_hz: float, high_hz: float, rate_hz: float, requested: tuple[float, float] | None = None):
    """((low, high) of the model's own tracker, or None; (low, high) that is tracked at all).

    ``low_hz``, ``high_hz``: the model's range; ``requested``: the user's range, None for :data:`WIDEST_HZ` and the
    model's range. The first is None where the two have less than half an octave in common, so that YIN is to track all.
    """
    if requested is None:
        widest = min(low_hz, WIDEST_HZ[0]), max(high_hz, min(WIDEST_HZ[1], rate_hz / 4))
    else:
        widest = requested
    model_range = max(low_hz, widest[0]), min(high_hz, widest[1])
    return (model_range if model_range[0] * 2**0.5 <= model_range[1] else None), widest


def extended_track(f0_hz, voiced, yin_hz, yin_voiced, low_hz, high_hz, frame_s):
    """A track (f0_hz, voiced) [frames] with YIN's pitch (yin_hz, yin_voiced) outside low_hz … high_hz.

    Returns a new track; the same one where YIN finds nothing outside.
    """
    outside = yin_voiced & ((yin_hz < low_hz) | (yin_hz > high_hz))
    outside = _grown(~_grown(~outside, _half(LEAST_S, frame_s)), _half(LEAST_S, frame_s))
    if not outside.any():
        return f0_hz, voiced
    use_yin = yin_voiced & _grown(outside, round(REACH_S / frame_s))
    return np.where(use_yin, yin_hz, f0_hz), voiced | use_yin


def _half(seconds: float, frame_s: float) -> int:
    return round(seconds / frame_s / 2)


def _grown(mask: np.ndarray, reach: int) -> np.ndarray:
    """bool [frames]: true within ``reach`` frames of a true one."""
    return np.convolve(mask, np.ones(2 * reach + 1), "full")[reach : reach + len(mask)] > 0.5
