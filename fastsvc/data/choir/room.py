"""Room and microphone: a short reverberation, an equaliser, a noise floor and a level."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from fastsvc.data.choir.singer import RoomAcoustics

_TAPS = 2048


def response(room: RoomAcoustics, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Impulse response: direct sound first, then a decaying tail, all through the microphone's equaliser."""
    tail = int(room.reverb_s * rate_hz)
    late = rng.standard_normal(tail) * 10.0 ** (-3.0 * np.arange(tail) / tail)
    late[: int(0.008 * rate_hz)] = 0.0
    late *= 10.0 ** (room.reverb_db / 20.0) / np.sqrt(np.sum(late**2) + 1e-12)
    # Rooms swallow treble: a gentle smoothing of the tail.
    impulse = np.concatenate([[1.0], np.convolve(late, [0.25, 0.5, 0.25], "same")])
    hz = np.fft.rfftfreq(_TAPS, 1.0 / rate_hz)
    octaves = np.log2(np.maximum(hz, 1.0))
    gain_db = sum(db * np.exp(-0.5 * ((octaves - np.log2(centre)) / width) ** 2) for centre, db, width in room.bands)
    gain = 10.0 ** ((gain_db + np.zeros_like(hz)) / 20.0)
    gain /= np.sqrt(1.0 + (room.low_cut_hz / np.maximum(hz, 1.0)) ** 4)
    return fftconvolve(impulse, _minimum_phase(gain))


def _minimum_phase(gain: np.ndarray) -> np.ndarray:
    """The causal impulse response of that magnitude, by the real cepstrum."""
    cepstrum = np.fft.irfft(np.log(np.maximum(gain, 1e-4)))
    cepstrum[1 : _TAPS // 2] *= 2.0
    cepstrum[_TAPS // 2 + 1 :] = 0.0
    return np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))[: _TAPS // 2]


def record(voice: np.ndarray, room: RoomAcoustics, rate_hz: int, seed: list[int]) -> np.ndarray:
    """The dry voice [samples] through room and microphone, float32 of the same length.

    The peak lies at ``room.peak_db``. The room depends on the seed's first entry alone, the noise on all of it.
    """
    recording = fftconvolve(voice, response(room, rate_hz, np.random.default_rng(seed[:1])))[: len(voice)]
    recording *= 10.0 ** (room.peak_db / 20.0) / (np.max(np.abs(recording)) + 1e-9)
    recording += np.random.default_rng(seed).standard_normal(len(voice)) * 10.0 ** (room.noise_db / 20.0)
    return np.clip(recording, -0.98, 0.98).astype(np.float32)
