"""Where a recording sounds and where it pauses, by level alone."""

from __future__ import annotations

import numpy as np

FRAME_S = 0.01
GATE_DB = 40.0  # frames this far below the loud ones are pauses
LOUD_PERCENTILE = 95.0
HOLD_S = 0.1  # sound goes on for this long after the last frame above the gate, and before the first


def frame_levels_db(audio: np.ndarray, rate_hz: int) -> np.ndarray:
    """RMS of each whole frame of 10 ms -> dB [frames], at least -200; ``audio`` [samples]."""
    hop = round(FRAME_S * rate_hz)
    frames = np.asarray(audio[: len(audio) // hop * hop], np.float64).reshape(-1, hop)
    return 10.0 * np.log10(np.mean(frames**2, axis=1) + 1e-20)


def active(levels_db: np.ndarray, gate_db: float = GATE_DB) -> np.ndarray:
    """Frames within ``gate_db`` of the loud ones (their 95th percentile) -> bool [frames]; none of pure silence."""
    if not len(levels_db):
        return np.zeros(0, bool)
    loud = np.percentile(levels_db, LOUD_PERCENTILE)
    return (levels_db > loud - gate_db) & (levels_db > -120.0)


def held(frames: np.ndarray, seconds: float = HOLD_S) -> np.ndarray:
    """bool [frames], each True one with its neighbours up to ``seconds`` away."""
    reach = round(seconds / FRAME_S)
    return np.convolve(frames, np.ones(2 * reach + 1))[reach : reach + len(frames)] > 0 if len(frames) else frames


def speaking(audio: np.ndarray, rate_hz: int) -> np.ndarray:
    """Samples outside of pauses longer than about 0.2 s -> bool [samples]."""
    hop = round(FRAME_S * rate_hz)
    kept = np.repeat(held(active(frame_levels_db(audio, rate_hz))), hop)
    return np.pad(kept, (0, len(audio) - len(kept)), constant_values=bool(len(kept)) and bool(kept[-1]))
