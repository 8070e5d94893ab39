"""What a score at equal level hides: level, noise in pauses, smear before onsets, and mels without sharp lines.

All compare a result with its input, sample by sample: a conversion keeps the input's timing.
"""

from __future__ import annotations

import numpy as np

from fastsvc.audio.resample import resample
from fastsvc.evaluation.ears.activity import FRAME_S, active, frame_levels_db, held

FLOOR_DB = -90.0  # of full scale: digital silence in an input counts as the noise of 16 bits
LEAST_FRAMES = 5
PAUSE_EDGE_S = 0.06  # of a pause nearest to sound, left out: what decays there is no noise
ONSET_DB = 20.0  # the input rises by this within RISE_S at an onset
RISE_S, BEFORE_S = 0.03, 0.04
SHARP_BINS = slice(0, 40)  # of 80, up to about 2.7 kHz at 24 kHz: where harmonics stand apart


def together(made, source) -> tuple[np.ndarray, np.ndarray, int]:
    """(audio, rate_hz) of a result and of its input → both [samples] at the input's rate, cut to one length, and it."""
    audio = resample(np.asarray(made[0], np.float32), made[1], source[1])
    samples = min(len(audio), len(source[0]))
    return audio[:samples], np.asarray(source[0][:samples], np.float32), source[1]


def level_db(audio: np.ndarray, source: np.ndarray, rate_hz: int) -> float:
    """How much louder a result is than its input, over the frames in which the input sounds. NaN if there are none.

    The energies are summed over those frames, so what a pause holds does not count.
    """
    sounding = active(frame_levels_db(source, rate_hz))
    if not sounding.any():
        return float("nan")
    energy = [np.mean(10.0 ** (frame_levels_db(one, rate_hz)[sounding] / 10.0)) for one in (audio, source)]
    return float(10.0 * np.log10(max(energy[0], 1e-20) / energy[1]))
