"""Which recordings a dataset holds, who sings what in them, and which songs are kept for validation and test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastsvc import file_names, spelling
from fastsvc.audio.io import EXTENSIONS
from fastsvc.errors import AudioError

NAME = 240  # bytes of a part of a source's name: files are named after it, with endings of theirs


@dataclass(frozen=True)
class Source:
    """One recording of a dataset. ``name`` is its path below the dataset, unique, without a suffix where possible."""

    path: Path
    name: str
    singer: str
    song: str


def scan(dataset: Path) -> tuple[list[Source], list[Path]]:
    """All recordings below ``dataset``, sorted, and those that lie beside the singers' folders (left out).

    ``<singer>/<song>.wav`` and ``<singer>/<song>/…/<utterance>.wav`` are understood, and the
    ``<singer>#<song>/<utterance>.wav`` of M4Singer. Hidden files are ignored.
    Raises AudioError where there is no folder, or no recording in a singer's folder.
    """
    if not dataset.is_dir():
        raise AudioError(f"{dataset}: no such folder", "give the folder that holds one folder per singer")
    # Pipes, devices and dead links, too: reading says what they are.
    paths = sorted(p for p in dataset.rglob("*") if p.suffix.lower() in EXTENSIONS and not p.is_dir())
    paths = [p for p in paths if not any(part.startswith(".") for part in p.relative_to(dataset).parts)]
    inside = [p for p in paths if len(p.relative_to(dataset).parts) > 1]
    if not inside:
        raise AudioError(
            f"{dataset}: holds no recordings in folders of singers ({len(paths)} directly inside)",
            "arrange it as <singer>/<song>.wav or <singer>/<song>/<part>.wav",
        )
    stems: dict[str, int] = {}
    for path in inside:
        stem = path.relative_to(dataset).with_suffix("").as_posix()
        stems[stem] = stems.get(stem, 0) + 1
    # "x.wav.flac" without its suffix is "x.wav", which may be there, and named in full for the sake of an "x.flac".
    full, sources = {path.relative_to(dataset).as_posix() for path in inside}, []
    for path in inside:
        relative = path.relative_to(dataset)
        stem = relative.with_suffix("").as_posix()
        singer, song = _who_and_what(relative)
        alone = stems[stem] == 1 and stem not in full
        name = stem if alone else relative.as_posix()
        name = "/".join(file_names.fitted(part, NAME) for part in name.split("/"))  # room for the ends of its items
        sources.append(Source(path, name, singer, song))
    _refuse_twins(dataset, {source.singer for source in sources})
    return sources, [p for p in paths if len(p.relative_to(dataset).parts) == 1]


def _refuse_twins(dataset: Path, singers: set[str]) -> None:
    """Two folders whose names differ by the spelling of an accent would be two singers of one name."""
    names = sorted(singers)
    pair = spelling.twins(names)
    if pair:
        first, second = (spelling.told(names[place]) for place in pair)
        raise AudioError(f"{dataset}: the singers {first} and {second} are one name", "put both into one folder")


def _who_and_what(relative: Path) -> tuple[str, str]:
    folder = relative.parts[0]
    if "#" in folder.strip("#"):
        singer, song = folder.split("#", 1)
        return singer, song
    return folder, relative.parts[1] if len(relative.parts) > 2 else relative.stem


def split_songs(songs_by_singer: dict[str, set[str]], seed: int, valid: float, test: float) -> dict[str, str]:
    """Song -> "train", "valid" or "test": about those shares of all songs, at random but fixed by ``seed``.

    A song goes to one split whoever sings it. No singer is left without a song to train on, so with one song per
    singer everything is training data.
    """
    songs = set().union(*songs_by_singer.values()) if songs_by_singer else set()
    order = sorted(songs, key=lambda song: hashlib.sha256(f"{seed}:{song}".encode("utf-8", "surrogateescape")).digest())
    wanted = {name: _share(share, len(songs)) for name, share in (("test", test), ("valid", valid))}
    left = {singer: len(own) for singer, own in songs_by_singer.items()}
    split = dict.fromkeys(songs, "train")
    for song in order:
        name = next((name for name in ("valid", "test") if wanted[name] > 0), None)
        if name is None:
            break
        singers = [singer for singer, own in songs_by_singer.items() if song in own]
        if any(left[singer] <= 1 for singer in singers):
            continue
        for singer in singers:
            left[singer] -= 1
        split[song], wanted[name] = name, wanted[name] - 1
    return split


def _share(share: float, count: int) -> int:
    return max(1, round(share * count)) if share > 0 and count > 1 else 0
