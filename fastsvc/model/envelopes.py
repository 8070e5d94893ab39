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

LOWEST_HZ, OCTAVES, EACH = 32.0, 6, 85  # of the table of pulse trains; rows in an octave
NEAR = 4  # harmonics on each side that a bin hears
VALLEY = 0.25  # of the level about it: deeper between harmonics, the pulses' mel says nothing about a filter


def noise_mel(config: MelConfig) -> Tensor:
    """log10 of the expected mel of unit white noise, [M]."""
    window = torch.hann_window(config.window_samples, dtype=torch.float64)
    rayleigh = math.sqrt(math.pi) / 2 * float(window.square().sum().sqrt())
    return torch.log10(rayleigh * _bank(config).sum(1)).float()


def pulse_mels(config: MelConfig) -> Tensor:
    """log10 of the mels of steady pulse trains, [OCTAVES·EACH + 1, M], from LOWEST_HZ on.

    Harmonics k·f0 have the amplitude 2·√(f0/rate), and at a distance of d bins of N points |W| = N·|½·sinc(d) +
    ¼·sinc(d−1) + ¼·sinc(d+1)|; their powers are added. Where bins lie between harmonics the level about them, f0 wide,
    limits the valley.
    """
    bank, rate_hz = _bank(config), config.rate_hz
    f0_hz = LOWEST_HZ * 2 ** (torch.arange(OCTAVES * EACH + 1, dtype=torch.float64)[:, None, None] / EACH)
    frequencies = torch.arange(bank.shape[1], dtype=torch.float64)[:, None] * (rate_hz / config.fft_samples)
    order = (frequencies / f0_hz).round() + torch.arange(-NEAR, NEAR + 1)  # of the harmonics about each bin
    distance = (frequencies - order * f0_hz) * (config.window_samples / rate_hz)
    line = 0.5 * torch.sinc(distance) + 0.25 * (torch.sinc(distance - 1) + torch.sinc(distance + 1))
    line = line * ((order >= 1) & (order * f0_hz <= rate_hz / 2))
    level = (f0_hz[:, 0] / rate_hz).sqrt() * config.window_samples
    made = (level * line.square().sum(2).sqrt()) @ bank.T
    centres, areas = torch.from_numpy(edges_hz(config)[1:-1]), bank.sum(1)
    near = torch.exp(-0.5 * ((centres[:, None] - centres) / f0_hz).square())
    around = areas * (near @ (made / areas)[:, :, None])[:, :, 0] / near.sum(2)
    return torch.log10(torch.maximum(made, VALLEY * around)).float()


def looked_up(table: Tensor, f0_hz: Tensor) -> Tensor:
    """Rows of :func:`pulse_mels` at f0_hz [B, T], on straight lines between them: [B, T, M]."""
    place = (torch.log2(f0_hz.clamp(min=LOWEST_HZ) / LOWEST_HZ) * EACH).clamp(max=OCTAVES * EACH - 1e-3)
    row = place.long()
    return torch.lerp(table[row], table[row + 1], (place - row)[:, :, None])


def interpolation(config: MelConfig, bands: int, frequencies: int) -> Tensor:
    """Weights [bands, frequencies] of straight lines between bands, spread over the mel scale as the mel's are.

    Of as many bands as the mel has, they lie at the centres of its filters; frequencies go from 0 to half the rate,
    and beyond the outer bands their values stand.
    """
    centres = edges_hz(config, bands)[1:-1]
    places = np.linspace(0, config.rate_hz / 2, frequencies)
    return torch.from_numpy(np.stack([np.interp(places, centres, row) for row in np.eye(bands)])).float()


def _bank(config: MelConfig) -> Tensor:
    return torch.from_numpy(filter_bank(config)).double()
