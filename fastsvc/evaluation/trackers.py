"""Pitch trackers on signals of known pitch: a sweep, vibrato, notes with rests, noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RATE_HZ, HOP = 24000, 256
VOWEL = ((800, 80), (1200, 90), (2800, 120))  # formants of an open a: (frequency, bandwidth) in Hz
BREATH = 0.002  # RMS of the noise under every note
CENTS = 50  # an estimate this close is right

Tracker = Callable[[np.ndarray, int, int, int], tuple[np.ndarray, np.ndarray]]  # audio, rate_hz, hop, frames


def signals(seconds: float = 3.0, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """name → (audio float32 [samples] at ``RATE_HZ``, f0 at every sample, 0 where unvoiced)."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    rng = np.random.default_rng(seed)
    part = (time / seconds * 4).astype(int)
    notes = np.choose(part, (110.0, 220.0, 440.0, 880.0))
    sweep = 70 * (1000 / 70) ** (time / seconds)
    vibrato = notes * 2 ** (50 / 1200 * np.sin(2 * np.pi * 5.5 * time))
    rests = np.where((time / seconds * 8).astype(int) % 2 == 0, notes, 0)
    noise = 0.1 * rng.normal(size=time.size)
    return {
        "sweep": (synthesize(sweep, rng), sweep),
        "vibrato": (synthesize(vibrato, rng), vibrato),
        "rests": (synthesize(rests, rng), rests),
        "noise": (noise.astype(np.float32), np.zeros(time.size)),
    }


def synthesize(f0_hz: np.ndarray, rng) -> np.ndarray:
    """Harmonics up to 10 kHz through the vowel's formants, at a peak of about 0.5, silent where f0 is 0, with noise."""
    voiced = f0_hz > 0
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    audio = np.zeros(f0_hz.size)
    for k in range(1, int(10000 / f0_hz[voiced].min()) + 1):
        level = sum(1 / (1 + ((k * f0_hz - f) / b) ** 2) for f, b in VOWEL) / k
        audio += np.where(voiced & (k * f0_hz < 10000), level, 0) * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    audio *= np.convolve(voiced, np.full(240, 1 / 240), "same") * voiced  # 10 ms of attack and release
    return (0.5 * audio / np.abs(audio).max() + BREATH * rng.normal(size=audio.size)).astype(np.float32)


def score(track: tuple[np.ndarray, np.ndarray], true_hz: np.ndarray) -> dict[str, float]:
    """Shares of frames; NaN where a share does not exist.

    ``accuracy``: raw pitch accuracy, the voiced frames whose f0 (voiced or filled) is within 50 cents; ``octave``: the
    voiced frames that are one or two octaves off, to 50 cents; ``voicing``: the frames of wrong voicing.
    """
    f0_hz, voiced = track
    true_hz = true_hz[np.minimum(np.arange(len(f0_hz)) * HOP + HOP // 2, len(true_hz) - 1)]
    is_voiced = true_hz > 0
    off = 1200 * np.log2(np.maximum(f0_hz[is_voiced], 1) / true_hz[is_voiced])
    octaves = np.abs(off[:, None] - (-2400, -1200, 1200, 2400)).min(1) < CENTS
    nothing = float("nan")
    return {
        "accuracy": float(np.mean(np.abs(off) < CENTS)) if is_voiced.any() else nothing,
        "octave": float(np.mean(octaves)) if is_voiced.any() else nothing,
        "voicing": float(np.mean(voiced != is_voiced)),
    }


def measure(tracker: Tracker, seconds: float = 3.0) -> dict[str, dict[str, float]]:
    """Signal → :func:`score` of ``tracker(audio, rate_hz, hop, frames)``."""
    scores = {}
    for name, (audio, true_hz) in signals(seconds).items():
        scores[name] = score(tracker(audio, RATE_HZ, HOP, len(audio) // HOP), true_hz)
    return scores
