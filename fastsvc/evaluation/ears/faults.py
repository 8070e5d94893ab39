"""What a score at equal level hides: level, noise in pauses, smear before onsets, and mels without sharp lines.

All compare a result with its input, frame by frame: a conversion keeps the input's timing. NaN where the input has
nothing to measure on.
"""

from __future__ import annotations

import numpy as np

from fastsvc.audio.resample import resample
from fastsvc.config import MelConfig
from fastsvc.evaluation.ears.activity import FRAME_S, LOUD_PERCENTILE, active, frame_levels_db, held
from fastsvc.evaluation.spectrum import active_frames, scoring_mel

FLOOR_DB = 70.0  # below the input's loud frames: what is softer in either is not heard, so it counts as this
PAUSE_S = 0.15  # of a pause nearest to sound on both sides, left out: decay and onsets are not noise
LEAST_FRAMES = 10
ONSET_DB = 20.0  # the input rises by this, from the loudest of BEFORE to the frame itself
BEFORE = slice(-5, -1)  # frames before an onset: 50 to 10 ms
REFRACTORY_FRAMES = round(0.1 / FRAME_S)
# Of the second difference, whatever an engine has: 80 bins up to 12 kHz, windows of 43 ms, where harmonics stand apart.
MEL = MelConfig(hop_samples=256, fft_samples=1024, window_samples=1024)


def together(made, source) -> tuple[np.ndarray, np.ndarray, int]:
    """(audio, rate_hz) of a result and of its input → both [samples] at the input's rate, cut to one length, and it."""
    audio = resample(np.asarray(made[0], np.float32), made[1], source[1])
    samples = min(len(audio), len(source[0]))
    return audio[:samples], np.asarray(source[0][:samples], np.float32), source[1]


def level_db(audio: np.ndarray, source: np.ndarray, rate_hz: int) -> float:
    """How much louder a result [samples] is than its input, over the frames in which the input sounds.

    The energies are summed over those frames, so what a pause holds does not count.
    """
    sounding = active(frame_levels_db(source, rate_hz))
    if not sounding.any():
        return float("nan")
    energy = [np.mean(10.0 ** (frame_levels_db(one, rate_hz)[sounding] / 10.0)) for one in (audio, source)]
    return float(10.0 * np.log10(max(energy[0], 1e-20) / energy[1]))


def pauses_db(audio: np.ndarray, source: np.ndarray, rate_hz: int) -> float:
    """How much louder a result [samples] is than its input where the input pauses: mean over frames, in dB."""
    made, given = _levels(audio, source, rate_hz)
    sounding = active(given)
    quiet = ~held(sounding, PAUSE_S)
    measured = sounding.any() and quiet.sum() >= LEAST_FRAMES
    return float((made - given)[quiet].mean()) if measured else float("nan")


def onsets(levels_db: np.ndarray) -> np.ndarray:
    """Frames that are ONSET_DB louder than all of BEFORE, at most one in 0.1 s; levels_db [frames]."""
    sounding, found = active(levels_db), [-REFRACTORY_FRAMES]
    for frame in range(-BEFORE.start, len(levels_db)):
        before = levels_db[frame + BEFORE.start : frame + BEFORE.stop].max()
        if sounding[frame] and levels_db[frame] - before >= ONSET_DB and frame - found[-1] >= REFRACTORY_FRAMES:
            found.append(frame)
    return np.array(found[1:], int)


def smear_db(audio: np.ndarray, source: np.ndarray, rate_hz: int) -> float:
    """How much louder a result [samples] is than its input 50 to 10 ms before the input's onsets, mean in dB."""
    made, given = _levels(audio, source, rate_hz)
    frames = onsets(given)
    before = frames[:, None] + np.arange(BEFORE.start, BEFORE.stop)
    return float((made - given)[before].mean()) if len(frames) else float("nan")


def sharpness_db(audio: np.ndarray, source: np.ndarray, rate_hz: int) -> float:
    """Mean |second difference over bins| of a result's log-mel, in dB, over the frames in which the input sounds.

    Harmonics and formants make it large, a blurred mel makes it small: compare with the input's own, which is
    ``sharpness_db(source, source, rate_hz)``.
    """
    made, given = (scoring_mel(resample(one, rate_hz, MEL.rate_hz), MEL) for one in (audio, source))
    frames = active_frames(given)[: len(made)]
    return float(20.0 * np.abs(np.diff(made[frames], n=2, axis=1)).mean()) if frames.any() else float("nan")


def all_faults(made, source) -> dict[str, float]:
    """(audio, rate_hz) of a result and of its input → level_db, pauses_db, smear_db, sharpness: its share of the
    input's :func:`sharpness_db`."""
    both = together(made, source)
    own = sharpness_db(both[1], both[1], both[2])
    return {
        "level_db": level_db(*both),
        "pauses_db": pauses_db(*both),
        "smear_db": smear_db(*both),
        "sharpness": sharpness_db(*both) / own if own > 0 else float("nan"),
    }


def _levels(audio: np.ndarray, source: np.ndarray, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels [frames] of both, neither below the floor."""
    made, given = frame_levels_db(audio, rate_hz), frame_levels_db(source, rate_hz)
    floor = (np.percentile(given, LOUD_PERCENTILE) if len(given) else 0.0) - FLOOR_DB
    return np.maximum(made, floor), np.maximum(given, floor)
