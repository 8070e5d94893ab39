"""A recording made again without any network of ours: the rows that a vocoder is held against.

WORLD analyses the recording itself. Griffin-Lim and the formula get what a vocoder gets: the log-mel, and the formula
the pitch besides. Griffin-Lim has no pitch and knows nothing of voices, so a trained vocoder should not lose to it.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from fastsvc.audio.mel import filter_bank, log_mel
from fastsvc.config import MelConfig

ITERATIONS, EDGE_FRAMES, LEAST_SEEN = 32, 8, 0.05
LEAST_POWER = 1e-16
FULL_HARMONIC_HZ, ALL_NOISE_HZ = 1500.0, 10000.0
LEAST_NOISE_DB, BEND = -38.0, 0.7
LARGEST_CORRECTION = 2.0  # decades
WORLD_SCALE = 1e-2  # power of WORLD's envelope for a band of the mel's magnitude 1; the correction mends the rest


def world(audio: np.ndarray, rate_hz: int) -> np.ndarray:
    """audio [samples] → the same through WORLD's analysis and synthesis (Morise et al. 2016), [samples]."""
    import pyworld

    wave = np.ascontiguousarray(audio, np.float64)
    f0_hz, times = pyworld.harvest(wave, rate_hz)
    envelope = pyworld.cheaptrick(wave, f0_hz, times, rate_hz)
    noise = pyworld.d4c(wave, f0_hz, times, rate_hz)
    return _fitted(pyworld.synthesize(f0_hz, envelope, noise, rate_hz).astype(np.float32), len(audio))


def griffin_lim(mel: np.ndarray, config: MelConfig) -> np.ndarray:
    """log-mel [T, M] → audio [T·hop], phases by Griffin-Lim with momentum (Perraudin et al. 2013).

    Magnitudes: the least squares of the mel's filters, none below 0. Directions that the filters hardly see are left
    out: where filters are narrower than a bin, they would overshoot by tens of dB.
    """
    import librosa

    bank = filter_bank(config).astype(np.float64)
    magnitude = np.maximum(np.linalg.pinv(bank, rcond=LEAST_SEEN) @ 10.0 ** _decades(mel, config).T, 0.0)
    # frames at the very ends are divided by hardly any window, so some are added
    spectrum = np.pad(magnitude, ((0, 0), (EDGE_FRAMES, EDGE_FRAMES)), mode="edge").astype(np.float32)
    hop = config.hop_samples
    settings = {"n_iter": ITERATIONS, "hop_length": hop, "win_length": config.window_samples, "random_state": 0}
    audio = librosa.griffinlim(spectrum, n_fft=config.fft_samples, **settings)[EDGE_FRAMES * hop :]
    return _centred(audio, hop, len(mel) * hop)


def formula(mel: np.ndarray, f0_hz: np.ndarray, voiced: np.ndarray, config: MelConfig) -> np.ndarray:
    """log-mel [T, M], f0_hz and voiced [T] → audio [T·hop], by WORLD's synthesis and no training.

    Envelope: the mel over its filters' areas, interpolated over frequency. Aperiodicity: a fixed curve, from -38 dB at
    1.5 kHz to all noise at 10 kHz; unvoiced frames are noise. What the mel of the result lacks is put into the
    envelope, once: a second correction diverges.
    """
    import pyworld

    area, weights = _interpolation(config)
    f0_hz = np.where(voiced, f0_hz, 0.0).astype(np.float64)
    noise = np.where(np.asarray(voiced, bool)[:, None], _aperiodicity(config), 1.0)
    hop, length = config.hop_samples, len(mel) * config.hop_samples
    wanted = _decades(mel, config)
    power = WORLD_SCALE * 10.0 ** (2.0 * ((wanted - np.log10(area)) @ weights))

    def synthesize(envelope: np.ndarray) -> np.ndarray:
        envelope = np.ascontiguousarray(np.maximum(envelope, LEAST_POWER))
        audio = pyworld.synthesize(f0_hz, envelope, noise, config.rate_hz, 1000.0 * hop / config.rate_hz)
        return _centred(audio.astype(np.float32), hop, length)

    made = log_mel(torch.from_numpy(synthesize(power))[None], config)[0].numpy()
    lacking = np.clip(wanted - _decades(made, config), -LARGEST_CORRECTION, LARGEST_CORRECTION)
    return synthesize(power * 10.0 ** (2.0 * (lacking @ weights)))


@functools.lru_cache(maxsize=4)
def _interpolation(config: MelConfig) -> tuple[np.ndarray, np.ndarray]:
    """(areas of the mel's filters [M], weights [M, fft/2 + 1] that draw straight lines between their centres)."""
    bank = filter_bank(config).astype(np.float64)
    bins_hz = np.linspace(0.0, config.rate_hz / 2, bank.shape[1])
    area = bank.sum(axis=1)
    centres = bank @ bins_hz / area
    return area, np.stack([np.interp(bins_hz, centres, one) for one in np.eye(len(centres))])


def _aperiodicity(config: MelConfig) -> np.ndarray:
    """Share of noise in the amplitude of each bin [fft/2 + 1]."""
    bins_hz = np.linspace(0.0, config.rate_hz / 2, config.fft_samples // 2 + 1)
    way = np.clip((bins_hz - FULL_HARMONIC_HZ) / (ALL_NOISE_HZ - FULL_HARMONIC_HZ), 0.0, 1.0)
    return np.clip(10.0 ** (LEAST_NOISE_DB * (1.0 - way**BEND) / 20.0), 1e-3, 0.999)


def _decades(mel: np.ndarray, config: MelConfig) -> np.ndarray:
    """log-mel of either base → log10."""
    mel = np.asarray(mel, np.float64)
    return mel if config.log_base == "10" else mel / np.log(10.0)


def _centred(audio: np.ndarray, hop: int, length: int) -> np.ndarray:
    """Audio whose frame i is centred on sample i·hop → on (i + 1/2)·hop, as a vocoder's is, [length]."""
    return _fitted(np.concatenate([np.zeros(hop // 2, np.float32), audio]), length)


def _fitted(audio: np.ndarray, length: int) -> np.ndarray:
    return np.pad(audio[:length], (0, max(0, length - len(audio)))).astype(np.float32)
