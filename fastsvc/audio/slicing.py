"""Cutting long recordings: at quiet points for processing, and into exact blocks with halos for networks."""

from __future__ import annotations

import numpy as np

_STEP_S, _WINDOW_STEPS = 0.01, 5  # loudness every 10 ms, smoothed over 50 ms


def slices(audio: np.ndarray, rate_hz: int, max_seconds: float) -> list[tuple[int, int]]:
    """Cut ``audio [samples]`` or ``[channels, samples]`` into ``[(start, end)]`` of at most ``max_seconds`` each.

    The slices tile the whole input in order; each cut lies at the quietest point of the second half of the
    allowed range, so that no slice is needlessly short. Nothing is dropped, however silent.
    """
    if rate_hz <= 0 or max_seconds <= 0:
        raise ValueError(f"slices: rate and length must be positive, got {rate_hz} and {max_seconds}")
    audio = np.atleast_2d(audio)
    samples, step = audio.shape[1], max(1, round(rate_hz * _STEP_S))
    longest = max(1, int(max_seconds * rate_hz))
    if samples <= longest:
        return [(0, samples)] if samples else []
    loudness = _loudness(audio, step)
    cuts = [0]
    while samples - cuts[-1] > longest:
        cuts.append(_quietest(loudness, step, cuts[-1], samples, longest))
    return list(zip(cuts, [*cuts[1:], samples]))


def _quietest(loudness: np.ndarray, step: int, start: int, samples: int, longest: int) -> int:
    # The remainder after this cut should not be tiny either: it gets at least a quarter of the longest.
    latest = start + min(longest, samples - start - longest // 4)
    earliest = min(start + longest // 2, latest)
    first, last = max(-(-earliest // step), start // step + 1), latest // step
    if first > last:
        return latest
    window = loudness[first : last + 1]
    # Of equally quiet points the last gives fewer cuts.
    return (last - int(window[::-1].argmin())) * step


def _loudness(audio: np.ndarray, step: int) -> np.ndarray:
    """Smoothed power about each multiple of ``step``, ``[samples // step + 1]``."""
    count = audio.shape[1] // step
    power = np.zeros(count + 1)
    for channel in audio:
        frames = channel[: count * step].reshape(count, step)
        power[:count] += np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / step
    # Sample i * step is the border of frames i - 1 and i, so the window about it is even.
    sums = np.concatenate([[0.0], np.cumsum(power)])
    index = np.arange(count + 1)
    low, high = np.maximum(index - _WINDOW_STEPS // 2, 0), np.minimum(index + _WINDOW_STEPS // 2, count + 1)
    return np.maximum(sums[high] - sums[low], 0.0) / np.maximum(high - low, 1)


def blocks(frames: int, block: int, halo: int) -> list[tuple[int, int, int, int]]:
    """Cut ``frames`` into ``[(first, last, halo_first, halo_last)]``, ends exclusive, at most ``block`` each.

    Run a network that reads ``halo`` frames to each side on [halo_first, halo_last) and keep [first, last): the result
    equals one pass over everything, because the halo ends early only where the input does.
    """
    if block <= 0 or halo < 0 or frames < 0:
        raise ValueError(f"blocks: got frames {frames}, block {block}, halo {halo}")
    firsts = range(0, frames, block)
    return [
        (first, min(first + block, frames), max(0, first - halo), min(frames, first + block + halo)) for first in firsts
    ]
