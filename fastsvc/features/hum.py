"""Mains hum in rests is not sung: frames that hold nothing but the hum of the rest they lie in are unvoiced.

A tracker finds the pitch of whatever repeats, so that a rest with hum at −50 dBFS is sung at 50 Hz from end to end. A
rest is where the recording is 20 dB softer than its voice, and more. It hums where, in all of this, it differs from
soft or low singing:
- most of its power below 800 Hz lies in lines at multiples of 50 or 60 Hz;
- the strongest line is within 1 % of such a multiple, and does not move: no vibrato, no drift;
- the lines are as strong as all through the rest, from louder frame to louder frame. A soft note has a beginning and
  an end, with less before and after;
- little lies above 360 Hz, where every vowel has a formant; or else another rest of the recording hums likewise.
What is no louder there than the hum is unvoiced, whichever tracker called it voiced.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastsvc.audio import highpass
from fastsvc.features import f0

MAINS_HZ, HIGHEST_HZ = (50.0, 60.0), 800.0  # the lines that are looked at: multiples up to the highest
NEAR, STEADY = 0.01, 0.0025  # of the strongest line: from a multiple, and mean deviation from its own middle
RICH_HZ, RICH = 360.0, 0.03  # more than this share of the lines' power above is more than plain hum has
FAR_BELOW_DB, RISE_DB, BESIDE_DB = -20.0, 3.0, 2.0  # against the voice; over the hum of a rest, and beside it
VOICE_S, HUM_S = 0.25, 0.05  # a recording is as loud as its voice, and a rest hums, for that long at least
SHORT_S = 0.5  # rests that may be told by the others
LINES_S, APART_S, LEVEL_S = 0.12, 0.03, 0.02  # windows that tell lines apart, from one to the next, and for levels
EDGE_S = 0.04  # beside hum, from where no pitch is carried into it
SHARE, FLOOR = 0.7, 10  # of the power that lies in lines; percentile that stands for what is there all through a rest
BLOCK_FRAMES, BLOCK_SAMPLES = 4096, 1 << 20


class LowBand(NamedTuple):
    """``audio``: a recording's part below about 800 Hz, at a low rate; ``level_db`` [frames]: of the whole band."""

    audio: np.ndarray
    rate_hz: float
    hop: float  # low-rate samples from frame to frame
    level_db: np.ndarray

    def frames(self, seconds: float) -> int:
        return math.ceil(seconds * self.rate_hz / self.hop)


def low_band(audio: np.ndarray, rate_hz: int, hop_samples: int, frames: int) -> LowBand:
    """What :func:`without_hum` needs of audio [samples], whose frame t is centred at sample t · hop + hop / 2."""
    factor, parts, power = max(1, rate_hz // highpass.LOW_RATE_HZ), [], []
    reach, block = highpass.SPAN * factor, BLOCK_SAMPLES // factor * factor
    mean = np.full(factor, 1 / factor, np.float32)
    for start in range(0, len(audio), block):
        end = start - (start - min(start + block, len(audio))) // factor * factor
        piece = highpass.continued(audio, start - reach, end + reach)
        parts.append(highpass.lowered(piece, factor)[highpass.SPAN : highpass.SPAN + (end - start) // factor])
        power.append(np.square(piece[reach : reach + end - start]).reshape(-1, factor) @ mean)
    total = np.concatenate(([0.0], *power)).cumsum(dtype=np.float64)
    middle, half = (np.arange(frames) + 0.5) * hop_samples / factor, LEVEL_S * rate_hz / factor / 2
    first, last = (np.rint(middle + side).astype(int).clip(0, len(total) - 1) for side in (-half, half))
    level = (total[last] - total[first]) / np.maximum(1, last - first)
    whole = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return LowBand(whole, rate_hz / factor, hop_samples / factor, 10 * np.log10(np.maximum(level, 1e-20)))


def without_hum(heard: LowBand, f0_hz: np.ndarray, voiced: np.ndarray, style: str, low_hz: float):
    """f0_hz and voiced [frames] as tracked → the same without :func:`hum_frames`, filled as ``style`` does."""
    hum = hum_frames(heard, voiced)
    if not hum.any():
        return f0_hz, voiced
    voiced = voiced & ~hum
    # Where a voice gives way to hum, the tracker gives what lies between: that is not carried into the rest.
    sure = voiced & ~_beside(hum, heard.frames(EDGE_S))
    sure = sure if sure.any() else voiced
    filled = f0.fill(f0_hz, sure) if style == "fastsvc" else f0.styles.fill(np.where(sure, f0_hz, 0))
    filled = np.maximum(filled, low_hz) if style == "diffusion_svc" else filled
    return np.where(voiced, f0_hz, filled).astype(np.float32), voiced


def hum_frames(heard: LowBand, voiced: np.ndarray) -> np.ndarray:
    """Which of the voiced frames hold mains hum alone, bool [frames]."""
    level_db, hum = heard.level_db, np.zeros(len(voiced), bool)
    some = min(heard.frames(VOICE_S), len(level_db))
    if some == 0:
        return hum
    quiet = level_db <= np.partition(level_db, -some)[-some] + FAR_BELOW_DB
    rests, others = [], []
    for first, last in _runs(quiet):
        if voiced[first:last].any():
            long = last - first > 2 * heard.frames((LINES_S + APART_S) / 2)
            rest = _rest(heard, first, last) if long else None
            rests += [rest] if rest else []
            short = last - first <= heard.frames(SHORT_S)
            others += [slice(first, last)] if short and rest is None else []
    rests = [rest for rest in rests if not rest.rich or len(rests) > 1]
    for rest in rests:
        above_db = level_db[rest.frames] - rest.level_db
        beside = _beside(rest.hums, heard.frames(LINES_S))  # where the lines of what is louder are in the window
        hum[rest.frames] = (above_db <= RISE_DB) & (rest.hums | (beside & (above_db <= BESIDE_DB)))
    for frames in others if rests else ():  # too short to tell lines apart, or full of echo: by the rests that hum
        hum[frames] = level_db[frames] <= np.median([rest.level_db for rest in rests]) + RISE_DB
    return hum & voiced


def _beside(mask: np.ndarray, reach: int) -> np.ndarray:
    """Where ``mask`` holds within so many frames."""
    count = np.pad(np.concatenate(([0], np.cumsum(mask))), reach, mode="edge")
    return count[2 * reach + 1 :] > count[: -2 * reach - 1]


class _Rest(NamedTuple):
    """``hums`` [frames]: by its lines; ``level_db`` of those that do; ``rich``: in more than the lowest lines."""

    frames: slice
    hums: np.ndarray
    level_db: float
    rich: bool


def _runs(quiet: np.ndarray) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False]))))
    return zip(edges[::2].tolist(), edges[1::2].tolist())


def _rest(heard: LowBand, first: int, last: int) -> _Rest | None:
    """What hums of the frames from ``first`` to ``last``, all of them quiet; None where nothing does."""
    reach = heard.frames((LINES_S + APART_S) / 2)
    middles = np.arange(first + reach, last - reach)  # their windows hold nothing louder
    power, share, rich, hz = _lines(heard, middles)
    hums = (share >= SHARE) & (power <= np.percentile(power, FLOOR) * 10 ** (RISE_DB / 10))
    off = _off(hz)
    hums &= np.abs(off) <= NEAR
    if hums.sum() * heard.hop < HUM_S * heard.rate_hz:
        return None
    if not np.abs(off[hums] - np.median(off[hums])).mean() <= STEADY:
        return None
    nearest = np.arange(first, last).clip(middles[0], middles[-1]) - middles[0]
    level_db = float(np.median(heard.level_db[middles][hums]))
    return _Rest(slice(first, last), hums[nearest], level_db, float(np.median(rich[hums])) > RICH)


def _off(hz: np.ndarray) -> np.ndarray:
    """How far these are from the nearest multiple of 50 or 60 Hz, as a share of it."""
    off = [hz / (np.maximum(1, np.rint(hz / mains)) * mains) - 1 for mains in MAINS_HZ]
    return np.where(np.abs(off[0]) < np.abs(off[1]), *off)


def _lines(heard: LowBand, frames: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of each frame: power in the lines of 50 or 60 Hz, whichever hold more; its share of all below 800 Hz; the share
    of it above 360 Hz; and the frequency of the strongest line."""
    size, apart = round(LINES_S * heard.rate_hz), round(APART_S * heard.rate_hz)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    hz = np.fft.rfftfreq(size, 1 / heard.rate_hz)
    band = (hz >= MAINS_HZ[0] / 2) & (hz <= HIGHEST_HZ)
    select = [(_apart(hz, mains) <= 1.1 * heard.rate_hz / size) & band for mains in MAINS_HZ]  # half a main lobe
    select = np.stack([*select, *(one & (hz > RICH_HZ) for one in select), band], axis=1).astype(np.float32)
    found = []
    for start in range(0, len(frames), BLOCK_FRAMES):
        middles = np.rint((frames[start : start + BLOCK_FRAMES] + 0.5) * heard.hop).astype(int)
        first = (middles - (size + apart) // 2).clip(0, max(0, len(heard.audio) - size - apart))
        pieces = heard.audio[np.minimum(first[:, None] + np.arange(size + apart), len(heard.audio) - 1)]
        spectrum = np.fft.rfft(pieces[:, :size] * window, axis=1)
        squared = np.square(np.abs(spectrum)) * band
        strongest = squared.argmax(axis=1)
        turns = np.exp(-2j * np.pi / size * strongest[:, None] * np.arange(size))
        later = (pieces[:, apart:] * window * turns).sum(axis=1)
        # How far its phase has come, beyond what a line in the middle of the bin would have: within half a turn
        now = np.take_along_axis(spectrum, strongest[:, None], axis=1)[:, 0]
        extra = np.angle(later * now.conj() * np.exp(-2j * np.pi / size * strongest * apart))
        power = squared @ select
        which = power[:, :2].argmax(axis=1)
        lines, rich = (np.take_along_axis(power[:, i : i + 2], which[:, None], 1)[:, 0] for i in (0, 2))
        exact = hz[strongest] + extra / (2 * np.pi * apart) * heard.rate_hz
        found.append((lines, lines / np.maximum(power[:, 4], 1e-20), rich / np.maximum(lines, 1e-20), exact))
    return tuple(map(np.concatenate, zip(*found)))


def _apart(hz: np.ndarray, mains_hz: float) -> np.ndarray:
    """To the nearest multiple."""
    return np.abs(hz - np.maximum(1, np.rint(hz / mains_hz)) * mains_hz)
