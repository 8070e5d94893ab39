"""Real recordings, which have no true target: is the melody kept, and is the voice now the target's?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fastsvc.audio import io
from fastsvc.audio.resample import resample
from fastsvc.errors import AudioError, FastsvcError
from fastsvc.evaluation import pitch, singers
from fastsvc.evaluation.choir_table import track
from fastsvc.evaluation.ears import columns as ears
from fastsvc.evaluation.machine import timed
from fastsvc.files.tree import files_below

COLUMNS = {
    "fpc_voiced": ("FPC voiced", 3, "high"),
    "f0_rmse_cents": ("f0 RMSE cents", 1, "low"),
    "voicing_f1": ("V/UV F1", 3, "high"),
    "similarity_target": ("similarity to target", 3, "high"),
    "similarity_source": ("to source", 3, "low"),
    "closer_to_target": ("closer to target", 3, "high"),
    "rtf": ("RTF", 3, "low"),
    **ears.COLUMNS,
}


def recordings(folder) -> list[Path]:
    """The recordings below a folder, in order. Raises AudioError when there are none."""
    folder = Path(folder)
    paths = [p for p in files_below(folder) if p.suffix.lower() in io.EXTENSIONS and p.is_file()]
    if not paths:
        raise AudioError(f"{folder}: holds no recordings", "name a folder that holds wav, flac, mp3 or ogg files")
    return paths


def rows(
    engine,
    paths: Sequence[Path],
    voices: Sequence[str],
    *,
    verifier=None,
    centroids: Mapping | None = None,
    seed=0,
    public: bool = False,
    failed: Callable[[Path, FastsvcError], None] | None = None,
) -> Iterator[dict]:
    """A row per recording and voice: one step, transposed by whole semitones to the voice's pitch.

    The expected pitch is the input's, as tracked, moved by the transposition. Similarity to the source is the cosine
    to the input recording, similarity to the target the cosine to its centroid. public: whether the public judges
    listen, too. failed: called with a recording that cannot be read or converted, which is then left out; None: raises
    AudioError, EngineError.
    """
    for path in paths:
        try:
            yield from _rows_of(engine, path, voices, verifier, centroids, seed, public)
        except FastsvcError as error:
            if failed is None:
                raise
            failed(path, error)


def _rows_of(engine, path: Path, voices: Sequence[str], verifier, centroids, seed: int, public: bool) -> Iterator[dict]:
    audio, rate_hz = io.read(path, mono=True)
    audio = audio[0]
    at_model = resample(audio, rate_hz, engine.rate_hz)
    f0_hz, voiced = track(at_model, engine.config)
    source_embedding = None if verifier is None else singers.embed(verifier, audio, rate_hz)
    for name in voices:
        converted = _convert(engine, audio, rate_hz, name, seed)
        semitones = engine.transposed
        row = {"file": path.name, "target": name, "semitones": semitones, "seconds": round(len(audio) / rate_hz, 3)}
        row |= _figures(engine, converted, rate_hz, (f0_hz * 2 ** (semitones / 12), voiced))
        if verifier is not None:
            voice = singers.embed(verifier, converted[0], rate_hz)
            row["similarity_target"] = singers.similarity(voice, centroids[name])
            row["similarity_source"] = singers.similarity(voice, source_embedding)
            row["closer_to_target"] = float(row["similarity_target"] > row["similarity_source"])
        yield row | (ears.of_recording(converted[0], audio, rate_hz, semitones) if public else {})


def _convert(engine, audio: np.ndarray, rate_hz: int, name: str, seed: int) -> tuple[np.ndarray, float]:
    """(audio, seconds of work); not transposed if the pitch of the voice is unknown."""
    transpose = "auto" if engine.table.median_f0_hz(engine.table.weights(name)) else 0

    def convert():
        return engine.convert(audio, rate_hz, name, steps=engine.steps[0], transpose=transpose, seed=seed)[0]

    return timed(convert)


def _figures(engine, converted, rate_hz: int, expected) -> dict[str, float]:
    audio, seconds = converted
    tracked = track(resample(audio, rate_hz, engine.rate_hz), engine.config)
    frames = min(len(tracked[0]), len(expected[0]))
    figures = pitch.compare(*(tuple(part[:frames] for part in pair) for pair in (tracked, expected)))
    return figures | {"rtf": seconds / (len(audio) / rate_hz) if len(audio) else float("nan")}
