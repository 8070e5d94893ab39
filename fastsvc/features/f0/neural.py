"""CREPE, FCPE and RMVPE as pitch trackers: salience -> f0 and confidence, every 10 ms and on our frames."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from fastsvc.features.f0 import decode, networks
from fastsvc.features.f0.external import onto_frames
from fastsvc.model import crepe

STEP_S = networks.HOP / networks.RATE_HZ
# Confidence above which a frame counts as voiced. CREPE's is recommended by torchcrepe's README, RMVPE's is that of its
# project. FCPE's own 0.006 takes white noise for a voice (confidence up to 0.016); singing has 0.7.
THRESHOLD = {"crepe": 0.21, "crepe-tiny": 0.21, "fcpe": 0.03, "rmvpe": 0.03}
SILENCE = 1e-3  # RMS (−60 dBFS) below which CREPE is ignored, because it gets every window at the same level


def track(method, audio, low_hz, high_hz, *, hop=networks.HOP, weights=None):
    """audio [samples] at 16 kHz (torch) -> (f0_hz [n], confidence [n]), n = samples // hop + 1, float64.

    f0_hz is the most likely pitch within the range, voiced or not; confidence is the salience of its bin.
    """
    blocks = networks.salience(method, audio, hop, weights)
    if method.startswith("crepe"):
        return _by_path(torch.cat(list(blocks)).cpu(), low_hz, high_hz)
    cents = networks.cents_of(method, weights).to(audio.device)
    f0_and_confidence = torch.cat([_by_frame(block, cents, low_hz, high_hz) for block in blocks], 1)
    return tuple(f0_and_confidence.cpu().numpy())


def frames_of(method, audio, rate_hz, hop_samples, frames, low_hz, high_hz, weights=None):
    """audio [samples] (torch) -> (f0_hz [frames], voiced [frames]) in the middle of our frames."""
    audio = networks.at_16k(audio, rate_hz)
    f0_hz, confidence = track(method, audio, low_hz, high_hz, weights=weights)
    if method.startswith("crepe"):
        confidence = np.where(level(audio, networks.HOP) < SILENCE, 0, median(confidence, 3))
    voiced = confidence > THRESHOLD[method]
    return onto_frames(np.where(voiced, f0_hz, 0), STEP_S, rate_hz, hop_samples, frames)


def level(audio: torch.Tensor, hop: int) -> np.ndarray:
    """RMS of the 1024 samples around sample i · hop, i = 0 … samples // hop."""
    half = crepe.WINDOW // 2
    power = F.pad(audio.square(), (half, half))
    return F.avg_pool1d(power[None], crepe.WINDOW, hop)[0].sqrt().cpu().numpy()


def median(values: np.ndarray, length: int) -> np.ndarray:
    """Running median; of an even number of values the lower of the two in the middle. The ends are reflected."""
    if len(values) <= length // 2:
        return values
    padded = np.pad(values, ((length - 1) // 2, length // 2), mode="reflect")
    return np.sort(np.lib.stride_tricks.sliding_window_view(padded, length), axis=1)[:, (length - 1) // 2]


def _by_path(salience, low_hz, high_hz):
    """The Viterbi path of torchcrepe. Its random dither of up to a bin is left out: the average refines instead.

    On the CPU: each of its frames waits for the one before, and 267 states are too many for tree.py.
    """
    low, high = ((1200 * np.log2(hz / 10) - float(networks.CENTS[0])) / 20 for hz in (low_hz, high_hz))
    low, high = max(0, int(np.floor(low))), min(len(networks.CENTS), int(np.ceil(high)))
    low, high = min(low, len(networks.CENTS) - 1), max(high, 1)
    path = torch.from_numpy(decode.best_bins(salience.numpy(), low, max(high, low + 1)))
    f0_hz = decode.local_average(salience, path, networks.CENTS)
    return f0_hz.clamp(low_hz, high_hz).numpy(), salience.gather(1, path[:, None])[:, 0].double().numpy()


def _by_frame(salience, cents, low_hz, high_hz):
    salience = decode.within(salience, cents, low_hz, high_hz)
    confidence, best = salience.max(1)
    return torch.stack((decode.local_average(salience, best, cents), confidence.double()))
