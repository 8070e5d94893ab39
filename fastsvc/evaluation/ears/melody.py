"""Pitch as a tracker hears it that no engine uses by default: swift-f0 (MIT), frames of 16 ms, 47 to 2094 Hz."""

from __future__ import annotations

import functools

import numpy as np

from fastsvc.audio.resample import resample
from fastsvc.evaluation.ears import packages

RATE_HZ = 16000
CONFIDENT = 0.5  # swift-f0's own bound between voiced and unvoiced
CENTS = 50.0


@functools.lru_cache(maxsize=1)
def _tracker():
    packages.weights("swift_f0")
    from swift_f0.core import SwiftF0

    return SwiftF0(threads=1)


def track(audio: np.ndarray, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """audio [samples] → (f0_hz [frames], voiced bool [frames]). Raises MissingPackageError, CheckpointError."""
    audio = resample(np.asarray(audio, np.float32), rate_hz, RATE_HZ)
    if not len(audio):
        return np.zeros(0), np.zeros(0, bool)
    found = _tracker().detect(audio, RATE_HZ)
    return found.pitch_hz, found.confidence >= CONFIDENT


def within(found, wanted, semitones: float = 0.0, cents: float = CENTS) -> float:
    """Share of the frames voiced in both tracks whose f0 is within ``cents`` of the wanted, moved by ``semitones``.

    Tracks may differ in length by a frame: the shorter one counts. NaN where no frame is voiced in both.
    """
    frames = min(len(found[0]), len(wanted[0]))
    both = found[1][:frames] & wanted[1][:frames]
    if not both.any():
        return float("nan")
    off = 1200.0 * np.log2(found[0][:frames][both] / wanted[0][:frames][both]) - 100.0 * semitones
    return float(np.mean(np.abs(off) <= cents))
