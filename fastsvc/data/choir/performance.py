"""Performances: a score with exact times, pitch and loudness, still without a timbre."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from fastsvc.data.choir.phones import TABLE
from fastsvc.data.choir.score import Score, Syllable
from fastsvc.data.choir.singer import Singer, Style

F0_HOP_S = 0.005
_LOW_HZ, _HIGH_HZ = 62.0, 800.0


@dataclass(frozen=True, eq=False)
class Performance:
    """Times, pitch and loudness of a song, the same for every voice that sings it.

    phones: (symbol, start s, end s), contiguous from 0 to the end. f0_hz and loudness: float64 [points], value
    i at time i * F0_HOP_S, linear in between. f0 is 0 outside voiced phones; a voiced phone without f0 is
    whispered. Loudness is the linear amplitude of an open vowel, in a pause that of a breath.
    """

    phones: tuple[tuple[str, float, float], ...]
    f0_hz: np.ndarray
    loudness: np.ndarray
    key_semitones: float
    seed: int  # of the breath's and the throat's randomness when rendered

    @property
    def seconds(self) -> float:
        return self.phones[-1][2]

    def transposed(self, semitones: float) -> Performance:
        """The same performance with all of f0 times 2^(semitones / 12)."""
        key = self.key_semitones + semitones
        return replace(self, f0_hz=self.f0_hz * 2.0 ** (semitones / 12.0), key_semitones=key)

    def to_dict(self) -> dict:
        """Plain data for the song's json. Values are written in full: the file renders the same audio."""
        return {
            "phones": [list(phone) for phone in self.phones],
            "f0_hop_s": F0_HOP_S,
            "f0_hz": self.f0_hz.tolist(),
            "loudness": self.loudness.tolist(),
            "key_semitones": self.key_semitones,
            "seed": self.seed,
        }

    @staticmethod
    def from_dict(data: dict) -> Performance:
        """The inverse of :meth:`to_dict`."""
        phones = tuple((symbol, float(start), float(end)) for symbol, start, end in data["phones"])
        f0_hz, loudness = (np.asarray(data[key], np.float64) for key in ("f0_hz", "loudness"))
        return Performance(phones, f0_hz, loudness, float(data["key_semitones"]), int(data["seed"]))


@dataclass(frozen=True)
class _TimedSyllable:
    """A syllable in time, in seconds: its start, the start of its vowel, its end."""

    syllable: Syllable
    start: float
    vowel: float
    end: float
    times: tuple[float, ...]  # phones' starts


def _durations(syllable: Syllable, style: Style, rng: np.random.Generator) -> list[float]:
    """Seconds of each phone: consonants take their usual time, the vowel takes the remainder of the note."""
    if syllable.style in ("rest", "breath"):
        return [syllable.notes[0][1]]
    vary = rng.uniform(0.85, 1.2, len(syllable.phones))
    usual = [TABLE[phone].seconds * factor for phone, factor in zip(syllable.phones, vary)]
    vowel = next(position for position, phone in enumerate(syllable.phones) if TABLE[phone].kind == "vowel")
    if syllable.style in ("spoken", "whispered"):
        usual[vowel] *= 0.8 + 0.35 * syllable.stress
        return [max(0.045, 0.68 * style.speech_tempo * seconds) for seconds in usual]
    length = sum(seconds for _, seconds in syllable.notes) * style.tempo
    consonants = sum(usual) - usual[vowel]
    squeeze = min(1.0, 0.6 * length / consonants) if consonants else 1.0
    usual = [max(0.035, seconds * squeeze) for seconds in usual]
    usual[vowel] = max(0.06, length - (sum(usual) - usual[vowel]))
    return usual


def _timed_syllables(score: Score, style: Style, rng: np.random.Generator) -> list[_TimedSyllable]:
    timed, time = [], 0.0
    for syllable in score.syllables:
        durations = [round(seconds / 0.001) * 0.001 for seconds in _durations(syllable, style, rng)]
        starts = time + np.concatenate([[0.0], np.cumsum(durations)])
        kinds = [TABLE[phone].kind for phone in syllable.phones]
        vowel = starts[kinds.index("vowel")] if "vowel" in kinds else time
        timed.append(_TimedSyllable(syllable, time, float(vowel), float(starts[-1]), tuple(starts[:-1].tolist())))
        time = float(starts[-1])
    return timed


def _pitch(syllables: list[_TimedSyllable], style: Style, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Semitones above the key at every time, as if all were voiced."""
    knots: list[tuple[float, float, bool]] = []  # time of a target pitch, semitones, whether it is sung
    for item in syllables:
        style_name = item.syllable.style
        if style_name in ("sung", "spoken"):
            pitch_offset = style.speech_semitones if style_name == "spoken" else 0.0
            total = sum(seconds for _, seconds in item.syllable.notes)
            time_s = item.vowel
            for semitones, seconds in item.syllable.notes:
                knots.append((time_s, semitones + pitch_offset, style_name == "sung"))
                time_s += (item.end - item.vowel) * seconds / total if total else 0.0
    semitones = np.zeros(len(times))
    if not knots:
        return semitones
    # Each change of pitch is half a cosine long; singers go past the target a little and settle.
    semitones += knots[0][1]
    for (time, pitch, is_sung), (_, previous, _) in zip(knots[1:], knots):
        glide = style.glide_s * (rng.uniform(0.8, 1.3) if is_sung else rng.uniform(1.2, 1.8))
        part = np.clip((times - (time - 0.6 * glide)) / glide, 0.0, 1.0)
        semitones += (pitch - previous) * (0.5 - 0.5 * np.cos(np.pi * part))
        if is_sung:
            after_s = (times - (time + 0.4 * glide)) / 0.06
            bump = np.where(after_s > 0, after_s * np.exp(1 - np.clip(after_s, 0, 50)), 0.0)
            semitones += style.overshoot * np.clip(pitch - previous, -5, 5) * bump
    return semitones


def _vibrato(syllables: list[_TimedSyllable], style: Style, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Semitones of vibrato: it sets in on held notes only and grows."""
    depth = np.zeros(len(times))
    for item in syllables:
        if item.syllable.style != "sung":
            continue
        onset, strength = item.vowel + style.vibrato_onset_s, rng.uniform(0.5, 1.2)
        grown = np.clip((times - onset) / 0.25, 0.0, 1.0) * (times < item.end)
        depth = np.maximum(depth, grown * strength)
    depth = gaussian_filter1d(depth, 5.0) * style.vibrato_cents / 100.0
    rate = style.vibrato_hz * (1.0 + 0.06 * _slow_noise(len(times), 0.5, rng))
    return depth * np.sin(2 * np.pi * (np.cumsum(rate) * F0_HOP_S + rng.random()))


def _slow_noise(points: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance that changes within about that many seconds."""
    width = seconds / F0_HOP_S
    longer = max(points, int(8 * width))  # within one or two widths the noise would be a constant
    noise = gaussian_filter1d(rng.standard_normal(longer), width, mode="wrap")
    return noise[:points] / np.std(noise)


def _loudness(syllables: list[_TimedSyllable], times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    level_db = 1.8 * _slow_noise(len(times), 0.8, rng) - 3.0
    gate = np.zeros(len(times))
    for item in syllables:
        inside = (times >= item.start) & (times < item.end)
        part = (times[inside] - item.start) / max(item.end - item.start, 1e-6)
        style_name = item.syllable.style
        if style_name == "breath":
            gate[inside] = rng.uniform(0.02, 0.12) * np.sin(np.pi * part) ** 1.5
            continue
        if style_name == "rest":
            continue
        accent = 3.0 * item.syllable.stress + rng.uniform(-1.5, 1.0)
        swell = (2.5 if style_name == "sung" else 0.5) * np.sin(np.pi * part)
        level_db[inside] += accent + swell - {"sung": 3.0, "spoken": 5.0, "whispered": 12.0}[style_name]
        gate[inside] = 1.0
    level_db = gaussian_filter1d(level_db, 6.0)
    return np.minimum(gaussian_filter1d(gate, 3.0) * 10 ** (level_db / 20), 1.6)


def perform(score: Score, performer: Singer, key_semitones: float = 0.0) -> Performance:
    """Times, f0 and loudness of a score in the performer's style.

    key_semitones moves the song away from the performer's natural pitch. Deterministic for (score, performer).
    """
    rng = np.random.default_rng([score.seed, 404, score.index, zlib.crc32(performer.name.encode())])
    style = performer.style
    syllables = _timed_syllables(score, style, rng)
    points = int(np.ceil(syllables[-1].end / F0_HOP_S)) + 1
    times = np.arange(points) * F0_HOP_S
    semitones = _pitch(syllables, style, times, rng) + _vibrato(syllables, style, times, rng)
    semitones += style.drift_cents / 100 * (_slow_noise(points, 0.25, rng) + 0.3 * _slow_noise(points, 0.02, rng))
    voiced = np.zeros(points, bool)
    phones = []
    for item in syllables:
        ends = (*item.times[1:], item.end)
        for symbol, start, end in zip(item.syllable.phones, item.times, ends):
            phones.append((symbol, round(start, 4), round(end, 4)))
            inside = (times >= start) & (times < end)
            if TABLE[symbol].voiced and item.syllable.style != "whispered":
                voiced |= inside
            if TABLE[symbol].kind in ("fricative", "affricate", "stop"):  # pitch dips while the mouth is narrow
                semitones -= 0.35 * np.exp(-0.5 * ((times - 0.5 * (start + end)) / 0.02) ** 2)
    f0_hz = np.clip(performer.f0_hz * 2.0 ** ((key_semitones + semitones) / 12.0), _LOW_HZ, _HIGH_HZ)
    seed = int(rng.integers(2**31))
    loudness = _loudness(syllables, times, rng)
    return Performance(tuple(phones), np.where(voiced, f0_hz, 0.0), loudness, key_semitones, seed)
