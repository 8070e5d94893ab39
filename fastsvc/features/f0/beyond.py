"""Pitch outside the range that a tracker is asked for, heard by our YIN.

A model hears ordinary recordings best by the tracker, and in the range, that it was trained with; a wider range makes
trackers err where the narrow one did not, and FCPE does not hear high voices at all (docs/f0.md has the figures). So
each tracks in its own range, as before, and only where YIN clearly hears a pitch outside are its values taken.
"""

from __future__ import annotations

import numpy as np

WIDEST_HZ = (38.0, 2200.0)  # heard unless another range is asked for: 40 to 2100 Hz, with a little room for vibrato
LEAST_S = 0.03  # shorter stretches outside are accidents
REACH_S = 0.05  # YIN's values are taken so far to each side, where a tracker at the end of its range falters


def ranges(low_hz: float, high_hz: float, rate_hz: float, asked: tuple[float, float] | None = None):
    """((low, high) in which a model's own tracker is asked, or None; (low, high) of what is heard at all).

    ``low_hz``, ``high_hz``: the model's range; ``asked``: what the user wants heard, None for :data:`WIDEST_HZ` and
    the model's range. None: the two have less than half an octave in common, so that YIN had better hear all of it.
    """
    if asked is None:
        wide = min(low_hz, WIDEST_HZ[0]), max(high_hz, min(WIDEST_HZ[1], rate_hz / 4))
    else:
        wide = asked
    own = max(low_hz, wide[0]), min(high_hz, wide[1])
    return (own if own[0] * 2**0.5 <= own[1] else None), wide


def extended_track(f0_hz, voiced, heard_hz, heard, low_hz, high_hz, frame_s):
    """A track (f0_hz, voiced) [frames] with what YIN (heard_hz, heard) hears outside low_hz … high_hz.

    Returns a new track; the same one where YIN hears nothing outside.
    """
    outside = heard & ((heard_hz < low_hz) | (heard_hz > high_hz))
    outside = _grown(~_grown(~outside, _half(LEAST_S, frame_s)), _half(LEAST_S, frame_s))
    if not outside.any():
        return f0_hz, voiced
    taken = heard & _grown(outside, round(REACH_S / frame_s))
    return np.where(taken, heard_hz, f0_hz), voiced | taken


def _half(seconds: float, frame_s: float) -> int:
    return round(seconds / frame_s / 2)


def _grown(mask: np.ndarray, reach: int) -> np.ndarray:
    """bool [frames]: true within ``reach`` frames of what was true."""
    return np.convolve(mask, np.ones(2 * reach + 1), "full")[reach : reach + len(mask)] > 0.5
