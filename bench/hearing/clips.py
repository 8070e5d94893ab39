"""What bench/ears.py listens to: the fixed list of clips.json from unpacked packages, or recordings of a user's own."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.hearing import EXAMPLES, LIST
from bench.speech import fetch
from fastsvc.audio import io
from fastsvc.errors import AudioError, ConfigError, MissingPackageError

WHEELS = ("moonshine_voice",)  # their recordings lie inside an installed package
G722_HZ = 16000
OWN = "own"


@dataclass(frozen=True, eq=False)
class Sample:
    """audio float32 [samples] at rate_hz; transcript: the English words, None where nobody wrote them down."""

    name: str
    group: str
    audio: np.ndarray
    rate_hz: int
    english: bool
    transcript: str | None = None

    @property
    def seconds(self) -> float:
        return len(self.audio) / self.rate_hz


def fixed(root: Path, groups: Sequence[str] = ()) -> tuple[list[Sample], list[str]]:
    """The clips of clips.json, of these groups (all if empty), and a line for each that is not there.

    root: the folder that `make ears-data` fills. Raises ConfigError when nothing is there.
    """
    found, lacking = [], []
    for entry in json.loads(LIST.read_text(encoding="utf-8"))["clips"]:
        if groups and entry["group"] not in groups:
            continue
        path = _folder(entry["package"], root) / entry["path"]
        if path.is_file():
            found.append(_sample(entry, path))
        else:
            lacking.append(f"{entry['name']}: no {path}")
    if not found:
        raise ConfigError(f"{root}: holds none of the clips of {LIST.name}", "fetch them with: make ears-data")
    return found, lacking


def own(paths: Iterable[Path], english: bool = False) -> list[Sample]:
    """Recordings as they are. Raises AudioError."""
    samples = []
    for path in paths:
        audio, rate_hz = read(path)
        samples.append(Sample(str(path), OWN, audio, rate_hz, english))
    return samples


def read(path: Path) -> tuple[np.ndarray, int]:
    """(float32 [samples], rate_hz), one channel; G.722 of telephone prompts too. Raises AudioError."""
    if path.suffix.lower() == ".g722":
        return _g722(path), G722_HZ
    audio, rate_hz = io.read(path, mono=True)
    return audio[0], rate_hz


def _sample(entry: dict, path: Path) -> Sample:
    audio, rate_hz = read(path)
    audio = audio[: round(entry["seconds"] * rate_hz)] if "seconds" in entry else audio
    english = entry["language"] == "en" and entry["group"] == "speech"
    return Sample(entry["name"], entry["group"], audio, rate_hz, english, entry.get("transcript"))


def _folder(package: str, root: Path) -> Path:
    if package == "examples":
        return EXAMPLES
    if package in WHEELS:
        spec = importlib.util.find_spec(package)
        return Path(spec.submodule_search_locations[0]) if spec else root / package
    return fetch.unpacked(package, root)


def _g722(path: Path) -> np.ndarray:
    """A file without a header, which no reader can recognise by itself: 4 bits a sample at 16 kHz."""
    try:
        import av
    except ImportError as error:
        raise MissingPackageError("av", f"{path.name}: G.722", "media") from error
    try:
        with av.open(str(path), format="g722") as container:
            frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    except av.FFmpegError as error:
        raise AudioError(f"{path}: {error}", "fetch it again with: make ears-data") from error
    return np.concatenate(frames).astype(np.float32) / 32768
