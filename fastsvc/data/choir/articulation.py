"""From phones in time to the movements of the vocal tract: formants, noise colours, gains of the three sources."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from fastsvc.data.choir.performance import Performance
from fastsvc.data.choir.phones import NOISES, TABLE, Phone
from fastsvc.data.choir.singer import Tract

_UPPER_HZ = (3450.0, 4450.0)  # F4, F5
_BANDWIDTHS_HZ = np.array([65.0, 85.0, 130.0, 210.0, 300.0])


@dataclass(frozen=True)
class Articulation:
    """Tracks at frames (F1..F5 and the rest) and gains at samples."""

    formants_hz: np.ndarray  # [frames, 5]
    bandwidths_hz: np.ndarray  # [frames, 5]
    zero_hz: np.ndarray  # [frames]
    nasal: np.ndarray  # [frames] 0..1: how open the side branch is
    closed: np.ndarray  # [frames] 0..1: how far the mouth's closure muffles the voice
    colours: np.ndarray  # [frames, noises] mix of NOISES
    voice: np.ndarray  # [samples]
    aspiration: np.ndarray  # [samples]
    friction: np.ndarray  # [samples]


def _gain(level_db: float | None) -> float:
    return 0.0 if level_db is None else 10.0 ** (level_db / 20.0)


class _Knots:
    """A piecewise linear curve that is written from left to right."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.values: list = []

    def add(self, time: float, value) -> None:
        self.times.append(max(time, self.times[-1] + 1e-6) if self.times else time)
        self.values.append(value)

    def values_at(self, times: np.ndarray) -> np.ndarray:
        values = np.asarray(self.values, np.float64)
        if values.size == 0:
            return np.zeros(len(times))
        if values.ndim == 1:
            return np.interp(times, self.times, values)
        return np.stack([np.interp(times, self.times, column) for column in values.T], axis=1)


def _neighbour(phones, index: int, step: int) -> Phone | None:
    """The next vowel within three phones in that direction, not across a pause."""
    for position in range(index + step, index + 4 * step, step):
        if not 0 <= position < len(phones) or phones[position][0] == "pau":
            return None
        if TABLE[phones[position][0]].kind == "vowel":
            return TABLE[phones[position][0]]
    return None


def _vowel_factors(tract: Tract) -> dict[str, np.ndarray]:
    """Factors [3] by which the singer's vowels differ from the table."""
    rng = np.random.default_rng([tract.seed, 1])
    return {symbol: 1.0 + tract.vowel_spread * rng.uniform(-1.7, 1.7, 3) for symbol in TABLE}


def _formant_knots(phones, tract: Tract) -> np.ndarray:
    """Formant targets in time of a tract of unit length, [F1, F2, F3]."""
    vowel_factors, knots = _vowel_factors(tract), _Knots()
    for index, (symbol, start, end) in enumerate(phones):
        phone, length = TABLE[symbol], end - start
        targets = [np.asarray(target) * vowel_factors[symbol] for target in phone.formants_hz]
        if phone.kind == "vowel":
            edge = min(0.040, 0.35 * length)
            knots.add(start + edge, targets[0])
            if len(targets) > 1:
                knots.add(start + max(edge + 1e-3, 0.40 * length, length - 0.24), targets[0])
            knots.add(end - edge, targets[-1])
            continue
        edge = min(0.015, 0.3 * length)
        previous, following = _neighbour(phones, index, -1), _neighbour(phones, index, 1)
        previous, following = previous or following, following or previous
        for time, vowel, target in ((start + edge, previous, -1), (end - edge, following, 0)):
            value = targets[0].copy()
            if vowel is not None:
                open_mouth = phone.kind in ("aspirate", "pause")
                lean = np.array([phone.follow * open_mouth, phone.follow, phone.follow])
                value += lean * (np.asarray(vowel.formants_hz[target]) * vowel_factors[vowel.symbol] - value)
            knots.add(time, value)
    return knots


def _release(phone: Phone, start: float, end: float) -> float:
    """When a closure opens."""
    length = end - start
    if phone.kind == "affricate":
        return start + 0.42 * length
    return end - (min(0.018, 0.25 * length) if phone.voiced else min(0.050, 0.48 * length))


def _gain_knots(phones) -> tuple[_Knots, _Knots, _Knots]:
    """Voice, aspiration and friction in time."""
    voice, aspiration, friction = _Knots(), _Knots(), _Knots()
    for index, (symbol, start, end) in enumerate(phones):
        phone, length = TABLE[symbol], end - start
        follower = phones[index + 1][0] if index + 1 < len(phones) else "pau"
        ramp = min(0.010, 0.25 * length)
        level, noise = _gain(phone.voice_db), _gain(phone.noise_db)
        voice.add(start + ramp, level)
        voice.add(_release(phone, start, end) if phone.kind in ("stop", "affricate") else end - ramp, level)
        if phone.kind == "fricative":
            friction.add(start - 0.004, 0.0)
            friction.add(start + min(0.025, 0.3 * length), noise)
            friction.add(end - min(0.020, 0.3 * length), noise)
            friction.add(end + 0.002, 0.0)
        elif phone.kind == "affricate":
            opens = _release(phone, start, end)
            friction.add(opens, 0.0)
            friction.add(opens + 0.002, noise)
            friction.add(end - 0.3 * (end - opens), noise)
            friction.add(end, 0.0)
        elif phone.kind == "stop":
            opens = _release(phone, start, end)
            noise *= 0.5 if follower == "pau" or TABLE[follower].kind == "stop" else 1.0
            noise *= 0.6 if phone.voiced else 1.0
            friction.add(opens - 0.001, 0.0)
            friction.add(opens + 0.001, noise)
            friction.add(opens + 0.007, 0.6 * noise)
            friction.add(opens + 0.016, 0.0)
            if not phone.voiced:
                aspiration.add(opens, 0.0)
                aspiration.add(opens + 0.4 * (end - opens), _gain(-16.0))
                aspiration.add(end - 0.002, _gain(-20.0))
                aspiration.add(end + 0.008, 0.0)
        elif phone.kind == "aspirate":
            aspiration.add(start - 0.005, 0.0)
            aspiration.add(start + 0.3 * length, _gain(-13.0))
            aspiration.add(end - 0.2 * length, _gain(-13.0))
            aspiration.add(end + 0.010, 0.0)
        elif phone.kind == "pause":
            aspiration.add(start + ramp, 0.0)
            aspiration.add(start + 2 * ramp, _gain(-8.0))  # loudness decides whether there is a breath
            aspiration.add(end - 2 * ramp, _gain(-8.0))
            aspiration.add(end - ramp, 0.0)
    return voice, aspiration, friction


def _colours(phones, times: np.ndarray) -> np.ndarray:
    """Mix of the noises at frames [frames, noises]; a velar's noise follows the next vowel."""
    mix = np.zeros((len(times), len(NOISES)))
    for index, (symbol, start, end) in enumerate(phones):
        noise = TABLE[symbol].noise
        if not noise:
            continue
        inside = (times >= start - 0.006) & (times < end + 0.006)
        mix[inside] = 0.0
        if noise == "k":
            vowel = _neighbour(phones, index, 1) or _neighbour(phones, index, -1)
            front = float(np.clip(((vowel.formants_hz[0][1] if vowel else 1500.0) - 1100.0) / 800.0, 0.0, 1.0))
            mix[np.ix_(inside, [NOISES.index("kfront"), NOISES.index("kback")])] = (front, 1.0 - front)
        else:
            mix[inside, NOISES.index(noise)] = 1.0
    return mix


def _side_branch(phones, tract: Tract, times: np.ndarray, hop_s: float):
    """(zero Hz, nasality, closure) at frames."""
    zero, nasal, closed = np.full(len(times), 900.0), np.zeros(len(times)), np.zeros(len(times))
    for symbol, start, end in phones:
        phone = TABLE[symbol]
        if phone.kind in ("stop", "affricate"):
            closed[(times >= start) & (times < _release(phone, start, end))] = 1.0
        inside = (times >= start) & (times < end)
        if phone.zero_hz:
            zero[(times >= start - 0.05) & (times < end + 0.05)] = phone.zero_hz
            nasal[inside] = 1.0 if phone.kind == "nasal" else 0.7
        closed[inside] = np.maximum(closed[inside], {"nasal": 0.22, "fricative": 0.45}.get(phone.kind, 0.0))
    nasal = np.maximum(gaussian_filter1d(nasal, 0.016 / hop_s), 0.45 * tract.nasality)
    return gaussian_filter1d(zero, 0.02 / hop_s) / tract.length, nasal, gaussian_filter1d(closed, 0.004 / hop_s)


def articulate(performance: Performance, tract: Tract, frames: int, samples: int, rate_hz: int) -> Articulation:
    """The tract's movements in a performance; frames lie 5 ms apart, the first at 0."""
    phones, hop_s = performance.phones, 0.005
    times = np.arange(frames) * hop_s
    low = gaussian_filter1d(_formant_knots(phones, tract).values_at(times), 0.011 / hop_s, axis=0)
    formants = (
        np.concatenate([low, np.tile(_UPPER_HZ, (frames, 1))], axis=1) * np.asarray(tract.formants) / tract.length
    )
    # Singers open the mouth when the pitch would pass the first formant.
    f0_hz = np.interp(times, np.arange(len(performance.f0_hz)) * hop_s, performance.f0_hz)
    formants[:, 0] = np.maximum(formants[:, 0], 1.03 * f0_hz)
    formants[:, 1] = np.maximum(formants[:, 1], formants[:, 0] + 150.0)
    formants[:, 2] = np.maximum(formants[:, 2], formants[:, 1] + 200.0)
    zero, nasal, closed = _side_branch(phones, tract, times, hop_s)
    widths = _BANDWIDTHS_HZ * tract.bandwidth * (1.0 + 0.8 * nasal[:, None])
    fine = np.arange(samples) / rate_hz
    gains = [np.maximum(knots.values_at(fine), 0.0) for knots in _gain_knots(phones)]
    return Articulation(formants, widths, zero, nasal, closed, _colours(phones, times), *gains)
