"""Peaks as RVC limits them: a recording above a peak is divided by its excess as a whole, others stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INPUT_PEAK, OUTPUT_PEAK = 0.95, 0.99


def limited(audio: np.ndarray, most: float) -> np.ndarray:
    """float32 [samples] whose peak is at most ``most``; the same array where it already is."""
    excess = max(float(audio.max(initial=0.0)), -float(audio.min(initial=0.0))) / most
    return audio / np.float32(excess) if excess > 1 else audio


@dataclass(frozen=True)
class PeakLimit:
    """In the place of a loudness profile where the model's own level stays: only peaks are limited."""

    most: float = OUTPUT_PEAK

    def follow(self, audio: np.ndarray, rate_hz: int) -> np.ndarray:
        """As LoudnessProfile.follow."""
        return limited(audio, self.most)
