"""Mains hum in rests is not singing: frames of a rest that hold only hum become unvoiced.

A tracker finds the pitch of anything periodic, so a rest with hum at −50 dBFS would become a note of 50 Hz from end to
end. A rest is where the recording is at least 20 dB softer than its voice. It counts as hum where it differs from soft
or low singing in all of the following:
- most of its power below 800 Hz is in lines at multiples of 50 or 60 Hz;
- the strongest line is within 1 % of such a multiple, and does not move: no vibrato, no drift;
- the lines are equally strong all through the rest, from louder frame to louder frame. A soft note has a beginning and
  an end, with less before and after;
- little power is above 360 Hz, where every vowel has a formant; or else another rest of the recording hums likewise.
Frames there that are no louder than the hum are unvoiced, whichever tracker called them voiced.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastsvc.audio import highpass
from fastsvc.features import f0

MAINS_HZ, HIGHEST_HZ = (50.0, 60.0), 800.0  # lines are multiples of these, up to the highest
NEAR, STEADY = 0.01, 0.0025  # of the strongest line: distance from a multiple, mean deviation from its own median
RICH_HZ, RICH = 360.0, 0.03  # plain hum has at most this share of its lines' power above RICH_HZ
FAR_BELOW_DB, RISE_DB, BESIDE_DB = -20.0, 3.0, 2.0  # against the voice; over the hum of a rest, and beside it
VOICE_S, HUM_S = 0.25, 0.05  # least durations: of voice, which sets the recording's level, and of hum in a rest
SHORT_S = 0.5  # shorter rests may be judged by the others
LINES_S, APART_S, LEVEL_S = 0.12, 0.03, 0.02  # windows that separate lines, their hop, windows for levels
EDGE_S = 0.04  # within this distance of hum, pitch is not carried into the hum
SHARE, FLOOR = 0.7, 10  # least share of the power in lines; percentile that stands for the steady part of a rest
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
    """The input of :func:`without_hum`, from audio [samples] whose frame t is centred at sample t · hop + hop / 2."""
    factor, parts, power = low_factor(rate_hz), [], []
    reach, block = highpass.SPAN * factor, BLOCK_SAMPLES // factor * factor
    mean = np.full(factor, 1 / factor, np.float32)
    for start in range(0, len(audio), block):
        end = start - (start - min(start + block, len(audio))) // factor * factor
        samples = highpass.continued(audio, start - reach, end + reach)
        parts.append(highpass.lowered(samples, factor)[highpass.SPAN : highpass.SPAN + (end - start) // factor])
        power.append(np.square(samples[reach : reach + end - start]).reshape(-1, factor) @ mean)
    total = np.concatenate(([0.0], *power)).cumsum(dtype=np.float64)
    middle, half = (np.arange(frames) + 0.5) * hop_samples / factor, LEVEL_S * rate_hz / factor / 2
    first, last = (np.rint(middle + side).astype(int).clip(0, len(total) - 1) for side in (-half, half))
    level = (total[last] - total[first]) / np.maximum(1, last - first)
    band = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return LowBand(band, rate_hz / factor, hop_samples / factor, 10 * np.log10(np.maximum(level, 1e-20)))


def low_factor(rate_hz: int) -> int:
    """How many samples become one of the low band."""
    return max(1, rate_hz // highpass.LOW_RATE_HZ)


def without_hum(band: LowBand, f0_hz: np.ndarray, voiced: np.ndarray, style: str, low_hz: float):
    """f0_hz and voiced [frames] as tracked → the same without :func:`hum_frames`, filled as ``style`` does."""
    hum = hum_frames(band, voiced)
    if not hum.any():
        return f0_hz, voiced
    voiced = voiced & ~hum
    # Where a voice gives way to hum, the tracker's values lie between both: these are not carried into the rest.
    sure = voiced & ~_beside(hum, band.frames(EDGE_S))
    sure = sure if sure.any() else voiced
    filled = f0.fill(f0_hz, sure) if style == "fastsvc" else f0.styles.fill(np.where(sure, f0_hz, 0))
    filled = np.maximum(filled, low_hz) if style == "diffusion_svc" else filled
    return np.where(voiced, f0_hz, filled).astype(np.float32), voiced


def hum_frames(band: LowBand, voiced: np.ndarray) -> np.ndarray:
    """The voiced frames that hold only mains hum, bool [frames]."""
    level_db, hum = band.level_db, np.zeros(len(voiced), bool)
    loud_frames = min(band.frames(VOICE_S), len(level_db))
    if loud_frames == 0:
        return hum
    quiet = level_db <= np.partition(level_db, -loud_frames)[-loud_frames] + FAR_BELOW_DB
    rests, short_rests = [], []
    for first, last in _runs(quiet):
        if voiced[first:last].any():
            long = last - first > 2 * band.frames((LINES_S + APART_S) / 2)
            rest = _rest(band, first, last) if long else None
            rests += [rest] if rest else []
            short = last - first <= band.frames(SHORT_S)
            short_rests += [slice(first, last)] if short and rest is None else []
    rests = [rest for rest in rests if not rest.rich or len(rests) > 1]
    for rest in rests:
        above_db = level_db[rest.frames] - rest.level_db
        beside = _beside(rest.hums, band.frames(LINES_S))  # where the window reaches lines of louder frames
        hum[rest.frames] = (above_db <= RISE_DB) & (rest.hums | (beside & (above_db <= BESIDE_DB)))
    for frames in short_rests if rests else ():  # too short to separate lines, or full of echo: judged by the others
        hum[frames] = level_db[frames] <= np.median([rest.level_db for rest in rests]) + RISE_DB
    return hum & voiced


def _beside(mask: np.ndarray, reach: int) -> np.ndarray:
    """True within ``reach`` frames of a frame where ``mask`` is true."""
    count = np.pad(np.concatenate(([0], np.cumsum(mask))), reach, mode="edge")
    return count[2 * reach + 1 :] > count[: -2 * reach - 1]


class _Rest(NamedTuple):
    """``hums`` [frames]: by their lines; ``level_db`` of these; ``rich``: not only in the lowest lines."""

    frames: slice
    hums: np.ndarray
    level_db: float
    rich: bool


def _runs(quiet: np.ndarray) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False]))))
    return zip(edges[::2].tolist(), edges[1::2].tolist())


def _rest(band: LowBand, first: int, last: int) -> _Rest | None:
    """The hum in the frames from ``first`` to ``last``, all of them quiet; None where there is none."""
    reach = band.frames((LINES_S + APART_S) / 2)
    middles = np.arange(first + reach, last - reach)  # their windows hold nothing louder
    power, share, rich, hz = _lines(band, middles)
    hums = (share >= SHARE) & (power <= np.percentile(power, FLOOR) * 10 ** (RISE_DB / 10))
    off = _off(hz)
    hums &= np.abs(off) <= NEAR
    if hums.sum() * band.hop < HUM_S * band.rate_hz:
        return None
    if not np.abs(off[hums] - np.median(off[hums])).mean() <= STEADY:
        return None
    nearest = np.arange(first, last).clip(middles[0], middles[-1]) - middles[0]
    level_db = float(np.median(band.level_db[middles][hums]))
    return _Rest(slice(first, last), hums[nearest], level_db, float(np.median(rich[hums])) > RICH)


def _off(hz: np.ndarray) -> np.ndarray:
    """Distance of frequencies from the nearest multiple of 50 or 60 Hz, as a share of it."""
    off = [hz / (np.maximum(1, np.rint(hz / mains)) * mains) - 1 for mains in MAINS_HZ]
    return np.where(np.abs(off[0]) < np.abs(off[1]), *off)


def _lines(band: LowBand, frames: np.ndarray) -> tuple[np.ndarray, ...]:
    """For each frame: power in the lines of 50 or 60 Hz, whichever have more; its share of all power below 800 Hz; the
    share of it above 360 Hz; the frequency of the strongest line."""
    size, apart = round(LINES_S * band.rate_hz), round(APART_S * band.rate_hz)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    hz = np.fft.rfftfreq(size, 1 / band.rate_hz)
    in_range = (hz >= MAINS_HZ[0] / 2) & (hz <= HIGHEST_HZ)
    on_line = [(_apart(hz, mains) <= 1.1 * band.rate_hz / size) & in_range for mains in MAINS_HZ]  # half a main lobe
    select = np.stack([*on_line, *(mask & (hz > RICH_HZ) for mask in on_line), in_range], axis=1).astype(np.float32)
    blocks = []
    for start in range(0, len(frames), BLOCK_FRAMES):
        middles = np.rint((frames[start : start + BLOCK_FRAMES] + 0.5) * band.hop).astype(int)
        first = (middles - (size + apart) // 2).clip(0, max(0, len(band.audio) - size - apart))
        windows = band.audio[np.minimum(first[:, None] + np.arange(size + apart), len(band.audio) - 1)]
        spectrum = np.fft.rfft(windows[:, :size] * window, axis=1)
        squared = np.square(np.abs(spectrum)) * in_range
        strongest = squared.argmax(axis=1)
        turns = np.exp(-2j * np.pi / size * strongest[:, None] * np.arange(size))
        later = (windows[:, apart:] * window * turns).sum(axis=1)
        # The phase's advance beyond that of a line in the middle of the bin, within half a turn
        now = np.take_along_axis(spectrum, strongest[:, None], axis=1)[:, 0]
        extra = np.angle(later * now.conj() * np.exp(-2j * np.pi / size * strongest * apart))
        power = squared @ select
        mains = power[:, :2].argmax(axis=1)
        lines, rich = (np.take_along_axis(power[:, i : i + 2], mains[:, None], 1)[:, 0] for i in (0, 2))
        exact = hz[strongest] + extra / (2 * np.pi * apart) * band.rate_hz
        blocks.append((lines, lines / np.maximum(power[:, 4], 1e-20), rich / np.maximum(lines, 1e-20), exact))
    return tuple(map(np.concatenate, zip(*blocks)))


def _apart(hz: np.ndarray, mains_hz: float) -> np.ndarray:
    """Distance in Hz to the nearest multiple."""
    return np.abs(hz - np.maximum(1, np.rint(hz / mains_hz)) * mains_hz)
