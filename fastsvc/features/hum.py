"""Mains hum in rests is not sung: frames that hold nothing but the hum of the rest they lie in are unvoiced.

A tracker finds the pitch of whatever repeats, so that a rest with hum at −50 dBFS is sung at 50 Hz from end to end. A
frame counts as hum where all of this holds, so that soft and low singing stays:
- it is far below the voice: 20 dB below the level that the recording has for a quarter of a second at least;
- its pitch, and with hardly any spread that of its rest, lies within 1 % of a multiple of 50 or 60 Hz;
- most of its power below 600 Hz lies in lines at those multiples;
- the lines are no stronger there than all through the rest, from louder frame to louder frame. A soft note has a
  beginning and an end, and less before and after them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastsvc.audio import highpass
from fastsvc.features import f0

MAINS_HZ, HIGHEST_HZ = (50.0, 60.0), 600.0  # the lines that are looked at: multiples up to the highest
NEAR = 0.01  # of a pitch or line to a multiple
STEADY = 0.004  # mean deviation of the pitch in a rest
FAR_BELOW_DB, RISE_DB = -20.0, 3.0  # against the voice; over what lies below the whole rest
VOICE_S, HUM_S = 0.25, 0.05  # a recording is as loud as its voice, and a rest holds hum, for that long at least
LINES_S, LEVEL_S = 0.2, 0.02  # windows that tell the lines apart, and that follow the level
SHARE = 0.7  # of the power that lies in lines
FLOOR = 10  # percentile of a rest that stands for what lies below it
BLOCK_FRAMES, BLOCK_SAMPLES = 4096, 1 << 20


class Low(NamedTuple):
    """``audio``: a recording's part below about 600 Hz, at a low rate; ``level_db`` [frames]: of the whole band."""

    audio: np.ndarray
    rate_hz: float
    hop: float  # low-rate samples from frame to frame
    level_db: np.ndarray

    def frames(self, seconds: float) -> int:
        return math.ceil(seconds * self.rate_hz / self.hop)


def low(audio: np.ndarray, rate_hz: int, hop_samples: int, frames: int) -> Low:
    """What :func:`gated` needs of audio [samples], whose frame t is centred at sample t · hop + hop / 2."""
    factor, parts, power = max(1, rate_hz // highpass.LOW_RATE_HZ), [], []
    reach, block = highpass.SPAN * factor, BLOCK_SAMPLES // factor * factor
    for start in range(0, len(audio), block):
        end = start - (start - min(start + block, len(audio))) // factor * factor
        piece = highpass.mirrored(audio, start - reach, end + reach)
        parts.append(highpass.lowered(piece, factor)[highpass.SPAN : highpass.SPAN + (end - start) // factor])
        power.append(np.square(piece[reach : reach + end - start]).reshape(-1, factor).mean(axis=1, dtype=np.float64))
    total = np.concatenate(([0.0], *power)).cumsum()
    middle, half = (np.arange(frames) + 0.5) * hop_samples / factor, LEVEL_S * rate_hz / factor / 2
    first, last = (np.rint(middle + side).astype(int).clip(0, len(total) - 1) for side in (-half, half))
    level = (total[last] - total[first]) / np.maximum(1, last - first)
    whole = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return Low(whole, rate_hz / factor, hop_samples / factor, 10 * np.log10(np.maximum(level, 1e-20)))


def gated(heard: Low, f0_hz: np.ndarray, voiced: np.ndarray, style: str, low_hz: float):
    """f0_hz and voiced [frames] as tracked → the same without what :func:`found` finds, filled as ``style`` does."""
    hum = found(heard, f0_hz, voiced)
    if not hum.any():
        return f0_hz, voiced
    voiced = voiced & ~hum
    if style == "fastsvc":
        return f0.fill(f0_hz, voiced), voiced
    filled = f0.styles.fill(np.where(voiced, f0_hz, 0)).astype(np.float32)
    return (np.maximum(filled, np.float32(low_hz)) if style == "diffusion_svc" else filled), voiced


def found(heard: Low, f0_hz: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Which of the voiced frames hold mains hum alone, bool [frames]."""
    level_db, none = heard.level_db, np.zeros(len(voiced), bool)
    some = min(heard.frames(VOICE_S), len(level_db))
    if some == 0:
        return none
    quiet = level_db <= np.partition(level_db, -some)[-some] + FAR_BELOW_DB
    at_mains = voiced & quiet & _at_mains(f0_hz)
    hum, levels, short, reach = none, [], [], heard.frames(LINES_S / 2)
    for first, last in _runs(quiet):
        here = slice(first, last)
        if not at_mains[here].any():
            continue
        if last - first <= 2 * reach:
            short.append(here)
            continue
        power, share = _lines(heard, np.arange(first + reach, last - reach))
        as_below = (share >= SHARE) & (power <= np.percentile(power, FLOOR) * 10 ** (RISE_DB / 10))
        nearest = np.arange(last - first).clip(reach, last - first - reach - 1) - reach
        as_below = as_below[nearest]
        sure = as_below & at_mains[here]
        if sure.sum() < heard.frames(HUM_S) or not _steady(f0_hz[here][sure]):
            continue
        levels.append(float(np.median(level_db[here][sure])))
        hum[here] = (as_below | at_mains[here]) & (level_db[here] <= levels[-1] + RISE_DB)
    for here in short if levels else ():  # too short to tell lines apart: by the other rests
        hum[here] = at_mains[here] & (level_db[here] <= np.median(levels) + RISE_DB)
    return hum & voiced


def _at_mains(f0_hz: np.ndarray) -> np.ndarray:
    multiples = [np.maximum(1, np.rint(f0_hz / mains)) * mains for mains in MAINS_HZ]
    near = [np.abs(f0_hz - multiple) <= NEAR * multiple for multiple in multiples]
    return np.logical_or(*near) & (f0_hz <= HIGHEST_HZ)


def _steady(f0_hz: np.ndarray) -> bool:
    middle = np.median(f0_hz)
    return bool(_at_mains(middle) and np.abs(f0_hz / middle - 1).mean() <= STEADY)


def _runs(quiet: np.ndarray) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False]))))
    return zip(edges[::2].tolist(), edges[1::2].tolist())


def _lines(heard: Low, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(power in the lines of 50 or 60 Hz, whichever hold more; its share of the power below 600 Hz) of these frames."""
    size = round(LINES_S * heard.rate_hz)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    hz = np.fft.rfftfreq(size, 1 / heard.rate_hz)
    reach_hz = 1.1 * heard.rate_hz / size  # half a main lobe
    near = [_distance(hz, mains) <= reach_hz + NEAR * hz for mains in MAINS_HZ]
    band = (hz >= MAINS_HZ[0] / 2) & (hz <= HIGHEST_HZ)
    select = np.stack([near[0] & band, near[1] & band, band], axis=1).astype(np.float32)
    padded, found = np.pad(heard.audio, size), []
    for start in range(0, len(frames), BLOCK_FRAMES):
        middles = np.rint((frames[start : start + BLOCK_FRAMES] + 0.5) * heard.hop).astype(int)
        first = (middles - size // 2).clip(0, max(0, len(heard.audio) - size)) + size
        pieces = padded[first[:, None] + np.arange(size)] * window
        found.append(np.square(np.abs(np.fft.rfft(pieces, axis=1))) @ select)
    power = np.concatenate(found)
    lines = power[:, :2].max(axis=1)
    return lines, lines / np.maximum(power[:, 2], 1e-20)


def _distance(hz: np.ndarray, mains_hz: float) -> np.ndarray:
    """To the nearest multiple."""
    return np.abs(hz - np.maximum(1, np.rint(hz / mains_hz)) * mains_hz)
