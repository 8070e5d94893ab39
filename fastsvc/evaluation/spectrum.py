"""Distance of two recordings of equal timing in their spectra: mel L1 and mel-cepstral distortion.

mel L1 and MCD are at equal level, so neither tells whether a result is too soft: level_db and MCD with c_0 do.

Both compare frame by frame: a conversion keeps the timing of its source, and so does the true target, so no warping
is needed, and an error in time is an error.
"""

from __future__ import annotations

import numpy as np
import torch

from fastsvc.audio.mel import log_mel
from fastsvc.config import MelConfig

ACTIVE_DB = 45.0  # frames softer than this below the truth's loudest are silence and do not count
CEPSTRA = 13


def match_level(audio: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """``audio`` [samples] with the RMS of ``reference``: how loud a clip was rendered is nobody's merit."""
    rms = [np.sqrt(np.mean(np.square(a, dtype=np.float64))) if len(a) else 0.0 for a in (audio, reference)]
    return audio if min(rms) < 1e-9 else (audio * (rms[1] / rms[0])).astype(np.float32)


def scoring_mel(audio: np.ndarray, config: MelConfig) -> np.ndarray:
    """audio [samples] at config.rate_hz -> log10-mel [frames, bins], whatever base the model itself uses."""
    mel = log_mel(torch.as_tensor(audio, dtype=torch.float32)[None], config)[0].double().numpy()
    return mel if config.log_base == "10" else mel / np.log(10.0)


def active_frames(mel: np.ndarray) -> np.ndarray:
    """Frames of log10-mel [frames, bins] whose mean power is within ACTIVE_DB of the loudest -> bool [frames]."""
    if not len(mel):
        return np.zeros(0, bool)
    level_db = 10.0 * np.log10(np.mean(10.0 ** (2.0 * mel), axis=1) + 1e-20)
    return level_db > level_db.max() - ACTIVE_DB


def mel_l1(mel: np.ndarray, true: np.ndarray, active: np.ndarray) -> float:
    """Mean |difference| of log10-mel [frames, bins] over the active frames; 0.05 is 1 dB. NaN if none is active."""
    return float(np.abs(mel[active] - true[active]).mean()) if active.any() else float("nan")


def cepstra(mel: np.ndarray, count: int = CEPSTRA) -> np.ndarray:
    """c_1 … c_count [frames, count] of ln mel = sum_d c_d cos(pi d (m + 1/2) / M), from log10-mel [frames, M]."""
    bins = mel.shape[1]
    angle = np.pi * (np.arange(bins)[:, None] + 0.5) * np.arange(1, count + 1)[None] / bins
    return mel * np.log(10.0) @ np.cos(angle) * (2.0 / bins)


def mcd_db(mel: np.ndarray, true: np.ndarray, active: np.ndarray) -> float:
    """Mel-cepstral distortion (Kubichek 1993), mean over the active frames, in dB: 10/ln 10 sqrt(2 sum_{d=1..13} dc²).

    The cepstra are the cosine transform of the log-mel spectrum itself (not of a WORLD envelope), so figures compare
    within one table and not with papers that use mgcep. c_0, the level, is left out as usual.
    """
    if not active.any():
        return float("nan")
    difference = cepstra(mel[active]) - cepstra(true[active])
    return float(10.0 / np.log(10.0) * np.sqrt(2.0 * (difference**2).sum(axis=1)).mean())


def mcd_c0_db(mel: np.ndarray, true: np.ndarray, active: np.ndarray) -> float:
    """:func:`mcd_db` with c_0 (the mean of ln mel over bins) in the sum: a result 6 dB too soft has 4.3 dB at least."""
    if not active.any():
        return float("nan")
    squares = ((cepstra(mel[active]) - cepstra(true[active])) ** 2).sum(axis=1)
    squares += (np.log(10.0) * (mel[active] - true[active]).mean(axis=1)) ** 2
    return float(10.0 / np.log(10.0) * np.sqrt(2.0 * squares).mean())


def level_db(mel: np.ndarray, true: np.ndarray, active: np.ndarray) -> float:
    """How much louder ``mel`` is than ``true`` over the active frames: by energy of log10-mels [frames, bins]."""
    if not active.any():
        return float("nan")
    energy = [np.mean(10.0 ** (2.0 * one[active])) for one in (mel, true)]
    return float(10.0 * np.log10(max(energy[0], 1e-20) / max(energy[1], 1e-20)))


def compare(audio: np.ndarray, truth: np.ndarray, config: MelConfig) -> dict[str, float]:
    """``audio`` against ``truth``, both [samples] at config.rate_hz: mel_l1 and mcd_db at equal level, and, of the
    result as loud as it is, mcd_c0_db and level_db."""
    samples = min(len(audio), len(truth))
    true = scoring_mel(truth[:samples], config)
    mel = scoring_mel(match_level(audio[:samples], truth[:samples]), config)
    loud = scoring_mel(audio[:samples], config)
    active = active_frames(true)
    return {
        "mel_l1": mel_l1(mel, true, active),
        "mcd_db": mcd_db(mel, true, active),
        "mcd_c0_db": mcd_c0_db(loud, true, active),
        "level_db": level_db(loud, true, active),
    }
