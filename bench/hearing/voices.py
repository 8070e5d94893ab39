"""How the voices of an engine sound by themselves: what a conversion's similarity to the target is measured against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bench.hearing import clips
from fastsvc.errors import ConfigError, FastsvcError
from fastsvc.evaluation import clips as choir
from fastsvc.evaluation.ears import voice
from fastsvc.evaluation.recordings_table import recordings

SONGS, SECONDS = 3, 30.0  # of the choir, for each of its singers


def embeddings(engine, names: Sequence[str], folder: Path | None, seed: int = 0) -> tuple[dict[str, np.ndarray], list]:
    """Name → Resemblyzer's vector of each voice, and a line for each voice that has none.

    folder: with a folder of recordings for each voice; None: the choir renders its singers' songs.
    """
    if folder is not None:
        found = {name: mean(_recorded(folder / name)) for name in names if (folder / name).is_dir()}
        return found, [f"{name}: no folder {folder / name}" for name in names if name not in found]
    try:
        singers, left_out = choir.targets(names, (), seed)
    except ConfigError as error:
        return {}, [str(error)]
    found = {}
    for singer in singers:
        try:
            rendered = list(choir.renditions(singer, SONGS, seed, engine.rate_hz))
        except (FastsvcError, OSError) as error:  # flite or espeak-ng is not installed
            left_out.append(f"{singer.name}: {error}")
            continue
        samples = round(SECONDS / SONGS * engine.rate_hz)
        found[singer.name] = mean((one[:samples], engine.rate_hz) for one in rendered)
    return found, left_out


def mean(recordings_heard: Iterable[tuple[np.ndarray, int]]) -> np.ndarray:
    """(audio, rate_hz) of several recordings of one voice → the unit vector of their mean."""
    total = np.sum([voice.embed(audio, rate_hz) for audio, rate_hz in recordings_heard], axis=0)
    return total / np.linalg.norm(total)


def _recorded(folder: Path) -> Iterable[tuple[np.ndarray, int]]:
    return (clips.read(path) for path in recordings(folder))
