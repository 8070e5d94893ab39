"""Conversions with a true target: unseen singers of the choir sing unseen songs, and the targets sing the same."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastsvc.data.choir import Performance, Singer, perform, render, roster, score
from fastsvc.data.choir.performance import F0_HOP_S
from fastsvc.data.choir.singer import source_filter_singer
from fastsvc.errors import ConfigError

UNSEEN = 1000  # no choir has that many singers or songs: indices from here on were never trained on
PITCH_TOLERANCE = 4.0  # semitones between a voice's median in training and its singer's natural pitch
LARGEST_ROSTER = 60


@dataclass(frozen=True, eq=False)
class Clip:
    """``source``'s audio and ``target``'s truth, float32 [samples] at rate_hz, of equal timing.

    f0_hz: the exact pitch of the truth, value i at i * f0_hop_s, 0 where unvoiced. phones: of both.
    """

    source: str
    target: str
    song: int
    semitones: int
    audio: np.ndarray
    truth: np.ndarray
    rate_hz: int
    f0_hz: np.ndarray
    phones: tuple[str, ...]

    @property
    def f0_hop_s(self) -> float:
        return F0_HOP_S

    @property
    def seconds(self) -> float:
        return len(self.audio) / self.rate_hz

    @property
    def name(self) -> str:
        return f"{self.source} as {self.target}, song {self.song}, {self.semitones:+d} semitones"


def targets(
    names: Sequence[str], f0_hz: Sequence[float], choir_seed: int, dry: bool = False
) -> tuple[list[Singer], list[str]]:
    """The choir's singers among an engine's voices, and a line for each voice that cannot be a target.

    f0_hz: the voices' median pitch in training, or (). A singer of another pitch belongs to another choir. dry: they
    were recorded without rooms.
    Raises ConfigError when no voice is left.
    """
    choir = {singer.name: singer for singer in roster(LARGEST_ROSTER, choir_seed, dry=dry)}
    singers, left_out = [], []
    for row, name in enumerate(names):
        singer, has_pitch = choir.get(name), row < len(f0_hz) and f0_hz[row] > 0
        if singer is None:
            left_out.append(f"{name}: no singer of the choir of seed {choir_seed} (or its program is not installed)")
        elif has_pitch and abs(12 * np.log2(f0_hz[row] / singer.f0_hz)) > PITCH_TOLERANCE:
            left_out.append(f"{name}: trained at {f0_hz[row]:.0f} Hz, but the choir's sings at {singer.f0_hz:.0f} Hz")
        else:
            singers.append(singer)
    if not singers:
        raise ConfigError(
            f"none of the engine's voices ({', '.join(names[:8])}) is a singer of the choir of seed {choir_seed}",
            "set choir_seed to the choir they were trained on, or evaluate on recordings alone",
        )
    return singers, left_out


def sources(count: int, choir_seed: int, seed: int) -> list[Singer]:
    """``count`` singers beyond those of any choir of this seed, high and low in turn."""
    return [source_filter_singer(UNSEEN + 100 * seed + index, choir_seed) for index in range(count)]


def draw(
    voices: Sequence[Singer], count: int, seconds: float, choir_seed: int, seed: int, rate_hz: int, singers: int = 6
) -> Iterator[Clip]:
    """``count`` clips, every one of a song of its own; sources and targets come up equally often.

    Deterministic; a longer draw begins with the shorter one.
    """
    for index in range(count):
        yield _cached_clip(index, tuple(voices), seconds, choir_seed, seed, rate_hz, singers)


@functools.lru_cache(maxsize=64)  # rendering is a good part of an evaluation, and an ablation repeats it
def _cached_clip(
    index: int, voices: tuple[Singer, ...], seconds: float, choir_seed: int, seed: int, rate_hz: int, singers: int
) -> Clip:
    source_singers = sources(singers, choir_seed, seed)
    rng = np.random.default_rng([seed, 606, index])
    source = source_singers[index % len(source_singers)]
    # Each round through the sources shifts the targets by one, so that pairs do not repeat early.
    target = voices[(index + index // len(source_singers)) % len(voices)]
    song = UNSEEN + 1000 * seed + index
    performance = perform(score(song, choir_seed), source, float(rng.integers(-3, 4)))
    return clip(source, target, song, excerpt(performance, seconds, rng), rate_hz)


def clip(source: Singer, target: Singer, song: int, performance: Performance, rate_hz: int) -> Clip:
    """Both render the performance, the target in the key that suits its voice (whole semitones)."""
    semitones = round(12 * np.log2(target.f0_hz / source.f0_hz))
    true = performance.transposed(semitones)
    return Clip(
        source=source.name,
        target=target.name,
        song=song,
        semitones=semitones,
        audio=render(source, performance, rate_hz),
        truth=render(target, true, rate_hz),
        rate_hz=rate_hz,
        f0_hz=true.f0_hz,
        phones=tuple(symbol for symbol, _, _ in performance.phones),
    )


def excerpt(performance: Performance, seconds: float, rng: np.random.Generator) -> Performance:
    """About that many seconds from pause to pause (at least one phrase), from a random place; whole if shorter."""
    middles = [(start + end) / 2 for symbol, start, end in performance.phones if symbol == "pau"]
    starts = [time for time in middles if middles[-1] - time >= seconds] if middles else []
    if not starts:
        return performance
    first = int(np.ceil(starts[int(rng.integers(len(starts)))] / F0_HOP_S))
    last = int(next(time for time in middles if time - first * F0_HOP_S >= seconds - 2 * F0_HOP_S) / F0_HOP_S)
    low, high = first * F0_HOP_S, last * F0_HOP_S
    phones = tuple(
        (symbol, round(max(start, low) - low, 4), round(min(end, high) - low, 4))
        for symbol, start, end in performance.phones
        if end > low and start < high
    )
    inside = slice(first, last + 1)
    return replace(performance, phones=phones, f0_hz=performance.f0_hz[inside], loudness=performance.loudness[inside])


def renditions(singer: Singer, songs: int, choir_seed: int, rate_hz: int) -> Iterator[np.ndarray]:
    """The singer's first songs as in the choir, for a centroid without a corpus."""
    from fastsvc.data.choir.corpus import key_of

    for song in range(songs):
        yield render(singer, perform(score(song, choir_seed), singer, key_of(singer, song, choir_seed)), rate_hz)
