"""The high-pass through which RVC's voices heard their corpus: Butterworth, forwards and backwards, in float64.

As scipy's ``filtfilt`` with its defaults for order 5: the signal is continued by PADDING samples at both ends, mirrored
in time and at the end's value, and each run starts as if its first value had lasted forever. Work goes in blocks by
FFT. A block starts SETTLED samples early, after which the filter has forgotten its start (below 1e-20), so that an hour
needs no more memory than its samples, and cutting changes nothing.
"""

from __future__ import annotations

import functools

import numpy as np

ORDER, CUTOFF_HZ, RATE_HZ = 5, 48.0, 16000
PADDING = 3 * (ORDER + 1)
SETTLED = 8192  # samples; the slowest pole decays by e every 172
BLOCK = 3 * (1 << 16)  # samples; with what lies around it 2^18 − PADDING at most


def high_passed(audio: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """float [samples] at RATE_HZ → another, float32 [samples], without what lies below about 48 Hz (−6 dB there).

    Of recordings that have no more than PADDING samples, which upstream refuses, the padding is as long as they allow.
    """
    samples, out = len(audio), np.empty(len(audio), np.float32)
    padding = min(PADDING, samples - 1)
    for start in range(0, samples, block):
        end = min(start + block, samples)
        first, last = max(start - SETTLED, -padding), min(end + SETTLED, samples + padding)
        forwards = _run(_continued(audio, first, last))[start - first :]
        backwards = _run(forwards[::-1])[::-1]
        out[start:end] = backwards[: end - start]
    return out


def _continued(audio: np.ndarray, first: int, last: int) -> np.ndarray:
    """audio[first:last] in float64, which may reach past both ends by up to samples − 1."""
    samples, index = len(audio), np.arange(first, last)
    inside = np.abs(index)
    inside = np.where(inside >= samples, 2 * (samples - 1) - inside, inside)
    piece = audio[inside].astype(np.float64)
    piece[index < 0] = 2 * float(audio[0]) - piece[index < 0]
    piece[index >= samples] = 2 * float(audio[-1]) - piece[index >= samples]
    return piece


def _run(signal: np.ndarray) -> np.ndarray:
    """The filter's answer to ``signal`` [n] after a constant of its first value, to which the answer is 0."""
    size = 1 << (len(signal) + SETTLED - 1).bit_length()
    spectrum = np.fft.rfft(signal - signal[0], size)
    return np.fft.irfft(spectrum * _response(size), size)[: len(signal)]


@functools.lru_cache(maxsize=2)
def _response(size: int) -> np.ndarray:
    """H at the frequencies of rfft: the analogue prototype under the bilinear transform."""
    poles = np.exp(1j * np.pi * (2 * np.arange(ORDER) + ORDER + 1) / (2 * ORDER))
    turns = np.tan(np.pi * np.arange(1, size // 2 + 1) / size)
    inverse = np.tan(np.pi * CUTOFF_HZ / RATE_HZ) / (1j * turns)
    return np.concatenate(([0.0], 1 / np.prod(inverse[:, None] - poles, axis=1)))
