"""Scores: syllables with pitches and note lengths, independent of the singer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsvc.data.choir import words

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
_LOWEST, _HIGHEST = -7, 9  # semitones about the singer's natural pitch


@dataclass(frozen=True)
class Syllable:
    """One syllable, or a rest (phones == ("pau",)).

    notes: (semitones above the key, seconds) in turn; more than one is a melisma. Speech takes its timing
    from the phones, and its one note's seconds count only for a rest.
    """

    phones: tuple[str, ...]
    notes: tuple[tuple[float, float], ...]
    style: str  # sung, spoken, whispered, rest, breath
    stress: float = 0.0  # 0..1
    phrase: int = 0


@dataclass(frozen=True)
class Score:
    """A song of about half a minute. ``seconds`` is nominal: performers take their own time."""

    index: int
    seed: int
    syllables: tuple[Syllable, ...]
    seconds: float


def _nominal_seconds(syllable: Syllable) -> float:
    if syllable.style in ("spoken", "whispered"):
        return 0.085 * len(syllable.phones)
    return sum(seconds for _, seconds in syllable.notes)


def _melody(rng: np.random.Generator, count: int, scale: tuple[int, ...], start: int) -> list[int]:
    """A random walk on a scale that prefers small steps and turns back at the ends of the range."""
    degrees = [12 * octave + tone for octave in (-1, 0, 1) for tone in scale]
    degrees = [degree for degree in degrees if _LOWEST <= degree <= _HIGHEST]
    position = int(np.argmin([abs(degree - start) for degree in degrees]))
    pitches = []
    for _ in range(count):
        step = int(rng.choice([-4, -3, -2, -1, -1, 0, 1, 1, 2, 3, 4, 5], p=_STEPS))
        position = position - step if not 0 <= position + step < len(degrees) else position + step
        position = min(max(position, 0), len(degrees) - 1)
        pitches.append(degrees[position])
    return pitches


_STEPS = np.array([0.03, 0.05, 0.12, 0.14, 0.10, 0.10, 0.14, 0.12, 0.10, 0.05, 0.03, 0.02])


def _sung(rng: np.random.Generator, syllables, scale, beat: float, phrase: int) -> list[Syllable]:
    melisma = [1 if rng.random() > 0.12 else int(rng.integers(2, 4)) for _ in syllables]
    pitches = iter(_melody(rng, sum(melisma), scale, int(rng.integers(-5, 7))))
    out = []
    for position, (phones, count) in enumerate(zip(syllables, melisma)):
        last = position == len(syllables) - 1
        lengths = rng.choice([0.5, 0.5, 1.0, 1.0, 1.5, 2.0], size=count) * beat * (1.6 if last else 1.0)
        notes = tuple((float(next(pitches)), float(np.clip(length, 0.2, 1.6))) for length in lengths)
        out.append(Syllable(phones, notes, "sung", float(rng.random()), phrase))
    return out


def _spoken(rng: np.random.Generator, word_list, style: str, phrase: int) -> list[Syllable]:
    """Declining pitch with an accent on most words and a fall, or now and then a rise, at the end."""
    flat = [(syllable, position == 0) for word in word_list for position, syllable in enumerate(word)]
    top, bottom = rng.uniform(0.0, 6.0), rng.uniform(-9.0, -4.0)
    rising = rng.random() < 0.2
    out = []
    for position, (phones, first) in enumerate(flat):
        part = position / max(len(flat) - 1, 1)
        accent = rng.uniform(0.5, 4.0) if first and rng.random() < 0.7 else 0.0
        pitch = top + (bottom - top) * part + accent
        if rising and position == len(flat) - 1:
            pitch += rng.uniform(4.0, 9.0)
        out.append(Syllable(phones, ((float(pitch), 0.0),), style, 1.0 if accent else 0.0, phrase))
    return out


def _rest(rng: np.random.Generator, phrase: int) -> Syllable:
    breath = rng.random() < 0.45
    seconds = rng.uniform(0.35, 0.8) if breath else rng.uniform(0.12, 0.6)
    return Syllable(("pau",), ((0.0, float(seconds)),), "breath" if breath else "rest", 0.0, phrase)


def score(index: int, seed: int) -> Score:
    """The song of that index: 20 to 40 s of sung and spoken phrases, always the same for (index, seed)."""
    rng = np.random.default_rng([seed, 101, index])
    length, scale = rng.uniform(20.0, 34.0), _SCALES[int(rng.integers(len(_SCALES)))]
    beat, speech = rng.uniform(0.28, 0.62), rng.uniform(0.2, 0.55)
    syllables = [_rest(rng, 0)]
    seconds, phrase = _nominal_seconds(syllables[0]), 0
    while seconds < length:
        phrase += 1
        text = [words.word(rng) for _ in range(int(rng.integers(2, 7)))]
        if rng.random() < speech:
            added = _spoken(rng, text, "whispered" if rng.random() < 0.12 else "spoken", phrase)
        else:
            added = _sung(rng, [syllable for word in text for syllable in word][:9], scale, beat, phrase)
        added.append(_rest(rng, phrase))
        syllables += added
        seconds += sum(map(_nominal_seconds, added))
    return Score(index, seed, tuple(syllables), float(seconds))
