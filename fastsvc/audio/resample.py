"""Change of sample rate through soxr, or the short filter of live conversion, with an exact output length."""

from __future__ import annotations

import numpy as np
import torch

from fastsvc.audio.fir import ShortResampler

_PIECE_SAMPLES = 1 << 20


def resampled_length(samples: int, from_hz: int, to_hz: int) -> int:
    """round(samples * to / from), halves upwards, in whole numbers (exact for any length)."""
    return (2 * samples * to_hz + from_hz) // (2 * from_hz)


def resample(audio: np.ndarray, from_hz: int, to_hz: int, quality: str = "HQ") -> np.ndarray:
    """``audio [..., samples]`` to float32 ``[..., resampled_length]``; linear phase, no shift in time.

    ``quality`` is one of soxr's, "HQ" (20 bits) or "VHQ" (28 bits), or "short": fastsvc/audio/fir.py.
    Raises ValueError on rates <= 0.
    """
    if from_hz <= 0 or to_hz <= 0:
        raise ValueError(f"resample: rates must be positive, got {from_hz} and {to_hz}")
    audio = np.asarray(audio, dtype=np.float32)
    samples = audio.shape[-1]
    if from_hz == to_hz or audio.size == 0:
        length = samples if from_hz == to_hz else resampled_length(samples, from_hz, to_hz)
        return audio.copy() if length == samples else np.zeros((*audio.shape[:-1], length), np.float32)
    import soxr

    rows = audio.reshape(-1, samples)
    out = np.zeros((rows.shape[0], resampled_length(samples, from_hz, to_hz)), np.float32)
    for source, target in zip(rows, out):
        if quality == "short":
            _through_short(source, target, ShortResampler(from_hz, to_hz))
            continue
        stream, written = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality=quality), 0
        # In pieces, so that a long result is never in memory twice.
        for start in range(0, samples, _PIECE_SAMPLES):
            piece = stream.resample_chunk(
                source[start : start + _PIECE_SAMPLES], last=start + _PIECE_SAMPLES >= samples
            )
            piece = piece[: len(target) - written]  # soxr may differ from the exact length by a sample
            target[written : written + len(piece)] = piece
            written += len(piece)
    return out.reshape(*audio.shape[:-1], -1)


def _through_short(source: np.ndarray, target: np.ndarray, resampler: ShortResampler) -> None:
    """Fill ``target``; zeros are assumed beyond both ends of ``source``."""
    for first in range(0, len(target), _PIECE_SAMPLES >> 4):  # the filter copies each sample's whole reach
        last = min(first + (_PIECE_SAMPLES >> 4), len(target))
        start, end = resampler.needs(first, last)
        piece = source[max(0, start) : max(0, end)]
        before = max(0, -start)
        piece = np.pad(piece, (before, end - start - before - len(piece)))
        target[first:last] = resampler(torch.from_numpy(piece), first, last).numpy()
