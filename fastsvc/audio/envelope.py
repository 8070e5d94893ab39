"""Loudness of a recording over time: powers and peaks of short blocks, robust to clicks, and gains between blocks.

Blocks last 10 ms and begin at whole samples, block i at floor(i · rate / 100), so that blocks of recordings at
different rates lie at the same times. An hour has 360,000 blocks; audio is read in pieces, and never copied as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCKS_HZ = 100
_PIECE_BLOCKS = 1 << 8  # at once: 123,000 samples at 48 kHz
_PIECE_SAMPLES = 1 << 17
KNEE = 0.7
AROUND_BLOCKS = 17  # sound in fewer than SUNG_BLOCKS of these is a click; fry has a pulse at least every 40 ms
SUNG_BLOCKS = 4
FINE, LONGER = 4, 3  # parts of a block; a level that LONGER of the eight parts around reach lasts longer than 5 ms
CLICK_POWER = 4.0


def blocks(samples: int, rate_hz: int, blocks_hz: int = BLOCKS_HZ) -> int:
    """The number of blocks of a recording of ``samples``; the last one may be shorter."""
    return -(-samples * blocks_hz // rate_hz)


def powers(audio: np.ndarray, rate_hz: int, blocks_hz: int = BLOCKS_HZ) -> np.ndarray:
    """Mean square of each block of audio [samples]: float64 [blocks]."""
    result = np.empty(blocks(len(audio), rate_hz, blocks_hz))
    for first, last, edges in _pieces(len(audio), rate_hz, blocks_hz):
        square = np.square(audio[edges[0] : edges[-1]], dtype=np.float64)
        result[first:last] = np.add.reduceat(square, edges[:-1] - edges[0]) / np.diff(edges)
    return result


def peaks(audio: np.ndarray, rate_hz: int) -> np.ndarray:
    """Largest magnitude of each block of audio [samples]: float64 [blocks]."""
    result = np.empty(blocks(len(audio), rate_hz))
    for first, last, edges in _pieces(len(audio), rate_hz):
        result[first:last] = np.maximum.reduceat(np.abs(audio[edges[0] : edges[-1]]), edges[:-1] - edges[0])
    return result


def amplify(audio: np.ndarray, rate_hz: int, gains: np.ndarray) -> np.ndarray:
    """``audio`` [samples], changed in place: each block times at most its gain [blocks].

    At each edge the gain is the lower one of the two blocks, and it runs linearly in between. So no block becomes
    louder than its own gain allows: a silent block stays silent, a limited peak limited.
    """
    nodes = edge_gains(gains)
    for first, last, edges in _pieces(len(audio), rate_hz):
        curve = np.interp(np.arange(edges[0], edges[-1]), edges, nodes[first : last + 1])
        audio[edges[0] : edges[-1]] *= curve.astype(np.float32)
    return audio


def edge_gains(gains: np.ndarray) -> np.ndarray:
    """Gains of blocks [blocks] → those at their edges [blocks + 1]."""
    return np.minimum(np.concatenate((gains[:1], gains)), np.concatenate((gains, gains[-1:])))


def round_off(audio: np.ndarray, ceiling: float) -> np.ndarray:
    """``audio`` [samples], changed in place to lie below ``ceiling``: above KNEE of it a tanh bends towards it."""
    knee, room = KNEE * ceiling, (1 - KNEE) * ceiling
    for first in range(0, len(audio), _PIECE_SAMPLES):
        piece = audio[first : first + _PIECE_SAMPLES]
        over = np.flatnonzero(np.abs(piece) > knee)
        high = piece[over]
        piece[over] = np.copysign(knee + room * np.tanh((np.abs(high) - knee) / room), high)
    return audio


def sustained(values: np.ndarray) -> np.ndarray:
    """The level [blocks] that SUNG_BLOCKS of the AROUND_BLOCKS around each block reach, so without clicks up to 20 ms.

    Recordings below 90 ms are too short for this and stay unchanged.
    """
    half = AROUND_BLOCKS // 2
    if len(values) <= half:
        return values
    around = np.lib.stride_tricks.sliding_window_view(np.pad(values, half), AROUND_BLOCKS)
    return np.partition(around, AROUND_BLOCKS - SUNG_BLOCKS, axis=1)[:, AROUND_BLOCKS - SUNG_BLOCKS]


def smoothed(values: np.ndarray, seconds: float) -> np.ndarray:
    """Mean [blocks] over a Hann window of ``seconds``, which is cut off at the ends of the recording."""
    half = max(1, round(seconds * BLOCKS_HZ / 2))
    window = np.hanning(2 * half + 1)
    return (
        np.convolve(values, window, mode="full")[half : half + len(values)]
        / np.convolve(np.ones(len(values)), window, mode="full")[half : half + len(values)]
    )


def highest(values: np.ndarray, seconds: float) -> np.ndarray:
    """Running maximum [blocks] over ``seconds``, centred."""
    half = max(1, round(seconds * BLOCKS_HZ / 2))
    padded = np.pad(values, half, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1).max(axis=1)


def lowest(values: np.ndarray, seconds: float) -> np.ndarray:
    """Running minimum [blocks] over ``seconds``, centred."""
    return -highest(-values, seconds)


def closed(values: np.ndarray, seconds: float) -> np.ndarray:
    """``values`` [blocks] with gaps up to ``seconds`` filled, as between pulses of a low note; edges stay."""
    return lowest(highest(values, seconds), seconds)


def clicks(audio: np.ndarray, rate_hz: int, power: np.ndarray, lasting: np.ndarray) -> np.ndarray:
    """Which blocks of audio [samples] hold a click: bool [blocks]; ``lasting``: their powers after :func:`sustained`.

    A click ends within 5 ms, which no consonant does. It is CLICK_POWER times as strong as the lasting sound around it,
    which no pulse of a low voice is.
    """
    return clicks_among(powers(audio, rate_hz, FINE * BLOCKS_HZ), power, lasting)


def clicks_among(fine: np.ndarray, power: np.ndarray, lasting: np.ndarray) -> np.ndarray:
    """:func:`clicks` from ``fine``, the powers of blocks of a FINE-th of the others' length."""
    fine = np.pad(fine, (FINE, FINE * (len(power) + 1) - len(fine)))  # a block more at both ends
    longer = np.lib.stride_tricks.sliding_window_view(fine, 2 * FINE)[: FINE * len(power)]
    longer = np.partition(longer, -LONGER, axis=1)[:, -LONGER].reshape(-1, FINE).max(axis=1)
    return power > CLICK_POWER * np.maximum(lasting, longer)


def _pieces(samples: int, rate_hz: int, blocks_hz: int = BLOCKS_HZ) -> Iterator[tuple[int, int, np.ndarray]]:
    """(first block, end, the edges of these blocks in samples), in turn."""
    count = blocks(samples, rate_hz, blocks_hz)
    for first in range(0, count, _PIECE_BLOCKS):
        last = min(first + _PIECE_BLOCKS, count)
        edges = np.minimum(np.arange(first, last + 1, dtype=np.int64) * rate_hz // blocks_hz, samples)
        yield first, last, edges
