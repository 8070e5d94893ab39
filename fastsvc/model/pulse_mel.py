"""The mel of a flat pulse train at f0, as a table over log f0: it draws the comb of harmonics for the denoiser.

A row is the log-mel of harmonics of equal amplitude below the Nyquist frequency, by the mel's own settings: window,
transform, filters, floor, and the normalisation of the model's mel. The power at a bin of the transform is the mean
over independent phases of the harmonics, Σ_k (a/2)²·|W(f − k·f0)|² over k = ±1, ±2 … with the window's transform W in
closed form, so a row needs no signal and no place of the pulses in the frame. Between rows values lie on straight
lines, so a linear map that follows may be applied to the rows instead.
"""

import functools
import math

import torch
from torch import Tensor

from fastsvc.audio.mel import filter_bank
from fastsvc.config import MelConfig, NormConfig
from fastsvc.model.pulse_tables import LOWEST_HZ, between, hann, position

HIGHEST_HZ = 2200.0  # of the rows; beyond it the last one stands, and below LOWEST_HZ the first
PER_OCTAVE = 120  # rows: 10 cents apart
ROWS = math.ceil(PER_OCTAVE * math.log2(HIGHEST_HZ / LOWEST_HZ)) + 1
LEVEL = 0.03  # RMS of white noise with the train's density of power, whatever f0 is: as a voice's mean mel
REACH = 32.0  # bins of the window's transform beyond which a harmonic's power, −96 dB at most, is left out
POLE = 1e-6  # bins: pulse_tables.hann


def table(mel: MelConfig, norm: NormConfig) -> Tensor:
    """[ROWS, M] float64: row r belongs to f0 = LOWEST_HZ · 2^(r / PER_OCTAVE)."""
    low, high = (torch.tensor(v, dtype=torch.float64, device="cpu") for v in (norm.low, norm.high))
    return (_log_mel(mel) - low) / (high - low) * 2 - 1


def interpolated(rows: Tensor, f0_hz: Tensor, voiced: Tensor) -> Tensor:
    """rows [ROWS, N], f0_hz and voiced (0..1) [...] → [..., N]; zeros where unvoiced."""
    return between(rows, position(f0_hz, PER_OCTAVE, ROWS - 1)) * voiced.to(rows.dtype)[..., None]


@functools.lru_cache(maxsize=8)
def _log_mel(mel: MelConfig) -> Tensor:
    """[ROWS, M] float64, not normalised."""
    with torch.device("cpu"), torch.inference_mode(False):
        f0_hz = LOWEST_HZ * 2 ** (torch.arange(ROWS, dtype=torch.float64) / PER_OCTAVE)
        magnitude = torch.stack([(_power(float(hz), mel) + 1e-9).sqrt() for hz in f0_hz])
        bank = torch.from_numpy(filter_bank(mel)).double()
        mels = (magnitude @ bank.T).clamp(min=mel.clip)
        return mels.log10() if mel.log_base == "10" else mels.log()


def _power(f0_hz: float, mel: MelConfig) -> Tensor:
    """[fft/2 + 1]: mean power of the transform's bins over the harmonics' phases."""
    width_hz = mel.rate_hz / mel.window_samples
    bins_hz = torch.arange(mel.fft_samples // 2 + 1, dtype=torch.float64) * (mel.rate_hz / mel.fft_samples)
    reach = math.ceil(REACH * width_hz / f0_hz)
    k = (bins_hz / f0_hz).round()[:, None] + torch.arange(-reach, reach + 1)  # the harmonics about each bin
    heard = (k != 0) & (k.abs() * f0_hz < mel.rate_hz / 2)
    amplitude = 2 * LEVEL * math.sqrt(f0_hz / mel.rate_hz)  # a power of a²/2 every f0; noise has 2·LEVEL²/rate a Hz
    distance = (bins_hz[:, None] - k * f0_hz) / width_hz
    gain = torch.from_numpy(hann(distance.numpy(), POLE)) * mel.window_samples
    return ((amplitude / 2 * gain).square() * heard).sum(1)
