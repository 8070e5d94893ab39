"""What the mel's filter bank answers to flat excitations, and interpolation between its bins.

Both excitations have the power of unit white noise (fastsvc/model/pulses.py). The mel's window w is a Hann window of N
samples; the magnitudes of noise are Rayleigh-distributed; harmonics are lines, each as wide as the window's transform.
"""

import math

import numpy as np
import torch
from torch import Tensor

from fastsvc.audio.mel import edges_hz, filter_bank
from fastsvc.config import MelConfig
from fastsvc.model.pulse_tables import LOWEST_HZ, between, hann, position

OCTAVES, EACH = 6, 85  # of the table of pulse trains; rows in an octave
NEAR = 4  # harmonics on each side that a bin hears
POLE = 5e-10  # bins: pulse_tables.hann
VALLEY = 0.25  # of the level about it: deeper between harmonics, the pulses' mel says nothing about a filter


def noise_mel(config: MelConfig) -> Tensor:
    """log10 of the expected mel of unit white noise, [M]."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.window_samples) / config.window_samples)
    rayleigh = math.sqrt(math.pi) / 2 * math.sqrt(np.square(window).sum())
    return torch.from_numpy(np.log10(rayleigh * filter_bank(config).sum(1)).astype(np.float32))


def pulse_mels(config: MelConfig) -> Tensor:
    """log10 of the mels of steady pulse trains, [OCTAVES·EACH + 1, M], from LOWEST_HZ on.

    Harmonics k·f0 have the amplitude 2·√(f0/rate); the powers that the window's transform gives them are added. Where
    bins lie between harmonics the level about them, f0 wide, limits the valley.
    """
    bank, rate_hz = filter_bank(config).astype(np.float64), config.rate_hz
    f0_hz = LOWEST_HZ * 2 ** (np.arange(OCTAVES * EACH + 1)[:, None] / EACH)
    frequencies = np.arange(bank.shape[1]) * (rate_hz / config.fft_samples)
    nearest, power = np.round(frequencies / f0_hz), 0.0
    for order in (nearest + i for i in range(-NEAR, NEAR + 1)):  # of the harmonics about each bin
        distance = (frequencies - order * f0_hz) * (config.window_samples / rate_hz)
        power = power + np.square(hann(distance, POLE)) * ((order >= 1) & (order * f0_hz <= rate_hz / 2))
    made = (np.sqrt(f0_hz / rate_hz) * config.window_samples * np.sqrt(power)) @ bank.T
    centres, areas = edges_hz(config)[1:-1], bank.sum(1)
    near = np.exp(-0.5 * np.square((centres[:, None] - centres) / f0_hz[:, :, None]))
    around = areas * (near @ (made / areas)[:, :, None])[:, :, 0] / near.sum(2)
    return torch.from_numpy(np.log10(np.maximum(made, VALLEY * around)).astype(np.float32))


def looked_up(table: Tensor, f0_hz: Tensor) -> Tensor:
    """Rows of :func:`pulse_mels` at f0_hz [B, T], on straight lines between them: [B, T, M]."""
    return between(table, position(f0_hz, EACH, OCTAVES * EACH - 1e-3))


def interpolation(config: MelConfig, bands: int, frequencies: int) -> Tensor:
    """Weights [bands, frequencies] of straight lines between bands, spread over the mel scale as the mel's are.

    Of as many bands as the mel has, they lie at the centres of its filters; frequencies go from 0 to half the rate,
    and beyond the outer bands their values stand.
    """
    centres = edges_hz(config, bands)[1:-1]
    places = np.linspace(0, config.rate_hz / 2, frequencies)
    rows = np.stack([np.interp(places, centres, row) for row in np.eye(bands)])
    return torch.from_numpy(rows.astype(np.float32))
