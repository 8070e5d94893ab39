"""The voice source: Liljencrants-Fant pulses from band-limited wavetables, and breath through the glottis.

Shape after Fant, Liljencrants and Lin (1985) with the single parameter Rd of Fant (1995): 0.5 pressed, 2.5 breathy.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.optimize import brentq

_POINTS = 4096
_BANDS_PER_OCTAVE = 4
_LOWEST_HZ = 40.0


def lf_derivative(rd: float, points: int) -> np.ndarray:
    """One period of the glottal flow's derivative, [points], of zero mean and unit power."""
    ra, rk = (-1.0 + 4.8 * rd) / 100.0, (22.4 + 11.8 * rd) / 100.0
    rg = 0.25 * rk / (0.11 * rd / (0.5 + 1.2 * rk) - ra)
    peak = 0.5 / rg
    closing = min(peak * (1.0 + rk), 0.97)
    decay = brentq(lambda e: e * ra - 1.0 + np.exp(-e * (1.0 - closing)), 1e-3 + 0.01 / ra, 2.0 / ra)
    time = (np.arange(points) + 0.5) / points
    opening = time < closing
    back = np.exp(-decay * (time - closing)) - np.exp(-decay * (1.0 - closing))
    back = np.where(opening, 0.0, -back / (decay * ra))

    def pulse(growth: float) -> np.ndarray:
        scale = -1.0 / np.sin(np.pi * closing / peak)
        return np.where(opening, scale * np.exp(growth * (time - closing)) * np.sin(np.pi * time / peak), back)

    shape = pulse(brentq(lambda growth: pulse(growth).sum(), -30.0, 200.0))
    return shape / np.sqrt(np.mean(shape**2))


@lru_cache(maxsize=64)
def wavetables(rd: float, rate_hz: int) -> np.ndarray:
    """[bands, points + 1]: the pulse with fewer harmonics in each quarter octave, so that none folds back."""
    spectrum = np.fft.rfft(lf_derivative(rd, 4 * _POINTS)) / (4 * _POINTS)
    bands = int(np.ceil(_BANDS_PER_OCTAVE * np.log2(0.5 * rate_hz / 8 / _LOWEST_HZ))) + 2
    tables = np.empty((bands, _POINTS + 1))
    for band in range(bands):
        highest_f0 = _LOWEST_HZ * 2.0 ** ((band + 1) / _BANDS_PER_OCTAVE)
        harmonics = np.zeros(_POINTS // 2 + 1, complex)
        count = max(1, min(int(0.49 * rate_hz / highest_f0), _POINTS // 2 - 1))
        harmonics[1 : count + 1] = spectrum[1 : count + 1]
        tables[band, :-1] = np.fft.irfft(harmonics) * _POINTS
        tables[band, -1] = tables[band, 0]
    return tables


def _interpolate(tables: np.ndarray, band: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Linear interpolation in the points and between neighbouring bands."""
    position = phase * _POINTS
    index = position.astype(np.int64)
    part = position - index
    low = band.astype(np.int64)
    mix = band - low
    flat, width = tables.ravel(), _POINTS + 1
    start = low * width + index
    first = flat[start] * (1 - part) + flat[start + 1] * part
    second = flat[start + width] * (1 - part) + flat[start + width + 1] * part
    return first * (1 - mix) + second * mix


def voice_source(
    f0_hz: np.ndarray, effort: np.ndarray, soft: float, firm: float, jitter: float, shimmer: float, rate_hz: int, rng
) -> tuple[np.ndarray, np.ndarray]:
    """Pulses of unit power, and the phase in cycles within 0..1, both [samples].

    f0_hz [samples] > 0 everywhere; effort [samples] 0..1 goes from the soft to the firm pulse. Jitter moves single
    pulses by that share of a period about their places after f0, and never adds up.
    """
    cycles = np.cumsum(f0_hz) / rate_hz + rng.random()
    periods = int(cycles[-1]) + 3
    jittered = cycles + np.interp(cycles, np.arange(periods), jitter * rng.standard_normal(periods))
    loud = np.interp(cycles, np.arange(periods), 1.0 + shimmer * rng.standard_normal(periods))
    phase = jittered - np.floor(jittered)
    bands = wavetables(round(soft, 3), rate_hz).shape[0]
    band = np.clip(_BANDS_PER_OCTAVE * np.log2(f0_hz / _LOWEST_HZ), 0.0, bands - 1.001)
    pulses = (1 - effort) * _interpolate(wavetables(round(soft, 3), rate_hz), band, phase)
    pulses += effort * _interpolate(wavetables(round(firm, 3), rate_hz), band, phase)
    return pulses * loud, phase


def breath_modulation(phase: np.ndarray) -> np.ndarray:
    """Gain of aspiration noise within a period: strongest about the glottis' closing, never off."""
    return 0.45 + 0.75 * np.clip(np.sin(np.pi * np.clip((phase - 0.2) / 0.75, 0, 1)), 0, 1) ** 2
