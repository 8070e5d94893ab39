"""The recordings of a dataset with their singers and songs, and the split of the songs."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc import file_names
from fastsvc.audio.io import EXTENSIONS, FOREIGN
from fastsvc.errors import AudioError
from fastsvc.files.tree import Tree, identity, unique_files

BESIDE = "lies beside the singers' folders, not in one: move it into <singer>/"
SHOWN = 5  # singers' folders or kinds of files that a line names

ENOUGH = 4  # songs of a singer, of which one is always for validation
NAME = 240  # bytes of a part of a recording's name: its items' file names add an ending


@dataclass(frozen=True)
class Recording:
    """One recording of a dataset. ``name`` is its path below the dataset, unique, without a suffix where possible."""

    path: Path
    name: str
    singer: str
    song: str


@dataclass
class DatasetScan:
    """The files of a dataset. ``unused``: (path, reason) of unused recordings and unreadable folders; ``others``: files
    that are not recordings; ``notes``: lines for the user."""

    sources: list[Recording] = field(default_factory=list)
    unused: list[tuple[Path, str]] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def scan(dataset: Path, out: Path | None = None, singer: str | None = None) -> DatasetScan:
    """All recordings below ``dataset``, sorted, each once; linked folders are followed, ``out`` is left out.

    ``singer``: all recordings are this singer's, and may lie directly inside.

    Layouts: ``<singer>/<song>.wav``, ``<singer>/<song>/…/<utterance>.wav``, and M4Singer's
    ``<singer>#<song>/<utterance>.wav``. Hidden files are ignored. Names are composed (NFC), so a singer from two
    systems is one. Raises AudioError where there is no folder, or no recording in a singer's folder.
    """
    if not dataset.is_dir():
        raise AudioError(f"{dataset}: no such folder", "name the folder that holds one folder per singer")
    search = _Search(dataset, out)
    search.walk(None)
    result, inside, beside = search.scan, [], []
    paths, again = unique_files(search.recordings)
    result.notes += [f"{path} is {first} under another name: it is used once" for path, first in again]
    for path in paths:
        (inside if singer or len(path.relative_to(dataset).parts) > 1 else beside).append(path)
    result.unused += [(path, BESIDE) for path in beside]
    result.unused += [
        (path, f"{path.suffix} is not read: convert the file to wav or flac first") for path in sorted(search.foreign)
    ]
    if not inside:
        reasons = [f"{len(beside)} directly inside"] if beside or not result.unused else []
        reasons += [f"{path}: {why}" for path, why in result.unused if why != BESIDE][:SHOWN]
        raise AudioError(
            f"{dataset}: holds no recordings in folders of singers ({'; '.join([*reasons, *result.notes[:SHOWN]])})",
            "arrange it as <singer>/<song>.wav or <singer>/<song>/<part>.wav",
        )
    result.sources = _named(dataset, inside, result.notes, singer)
    transcripts = {source.path.with_suffix(".json") for source in result.sources} | {dataset / "choir.json"}
    result.others = sorted(path for path in search.others if path not in transcripts)
    return result


class _Search(Tree[None]):
    def __init__(self, dataset: Path, out: Path | None):
        super().__init__(dataset)
        self.out = None if out is None else identity(out)
        self.scan = DatasetScan()
        self.recordings: list[tuple[bool, Path]] = []  # (linked, recording)
        self.foreign: list[Path] = []
        self.others: list[Path] = []

    def enters(self, folder: Path, folder_id: object) -> bool:
        return folder_id != self.out or folder == self.folder

    def file(self, path: Path, inherited: None, linked: bool) -> None:
        suffix = path.suffix.lower()
        if suffix in EXTENSIONS:  # pipes, devices and dead links, too: reading them gives the error message
            self.recordings.append((linked, path))
        elif suffix in FOREIGN:
            self.foreign.append(path)
        else:
            self.others.append(path)

    def unlisted(self, folder: Path, error: OSError) -> None:
        self.scan.unused.append((folder, f"the folder cannot be listed: {error.strerror}"))

    def met_again(self, folder: Path, first: Path | None) -> None:
        why = "a link to a folder that holds it: not followed"
        self.scan.notes.append(f"{folder}: {why}" if first is None else f"{folder} is {first} again: it is used once")


def _named(dataset: Path, inside: list[Path], notes: list[str], only: str | None) -> list[Recording]:
    alike: dict[str, list[Path]] = defaultdict(list)
    for path in inside:
        alike[path.relative_to(dataset).with_suffix("").as_posix()].append(path)
    for paths in alike.values():
        if len(paths) > 1:
            others = ", ".join(path.name for path in paths[1:])
            notes.append(f"{paths[0]} and {others} have the same name: all are used; remove duplicates")
    # A name without suffix may be another recording's full name: "x.wav.flac" gives "x.wav". Then the suffix stays.
    full, sources = {path.relative_to(dataset).as_posix() for path in inside}, []
    for path in inside:
        relative = path.relative_to(dataset)
        stem = relative.with_suffix("").as_posix()
        folder = relative if only is None else Path(only) / relative
        singer, song = (unicodedata.normalize("NFC", text) for text in _who_and_what(folder))
        alone = len(alike[stem]) == 1 and stem not in full
        name = stem if alone else relative.as_posix()
        name = "/".join(file_names.fitted(part, NAME) for part in name.split("/"))  # items add an ending
        sources.append(Recording(path, name, singer, song))
    return sources


def _who_and_what(relative: Path) -> tuple[str, str]:
    folder = relative.parts[0]
    if "#" in folder.strip("#"):
        singer, song = folder.split("#", 1)
        return singer, song
    return folder, relative.parts[1] if len(relative.parts) > 2 else relative.stem


def split_songs(
    songs_by_singer: dict[str, set[str]], seed: int, valid: float, test: float, previous: dict[str, str] | None = None
) -> dict[str, str]:
    """Song -> "train", "valid" or "test": about those shares of all songs, at random but fixed by ``seed``.

    A song goes to one split whoever sings it. Every singer keeps a song to train on, so with one song per singer
    everything is training data. Two singers at least, and every singer of ENOUGH songs, have a song for validation
    where one can be spared, even if the share is then exceeded. Songs of ``previous`` stay in their split, since models
    may have learnt them; unless a singer would have none to train on.
    """
    songs = set().union(*songs_by_singer.values()) if songs_by_singer else set()
    order = sorted(songs, key=lambda song: hashlib.sha256(f"{seed}:{song}".encode("utf-8", "surrogateescape")).digest())
    kept_splits = {song: name for song, name in (previous or {}).items() if song in songs}
    if any(
        all(kept_splits.get(song, "train") != "train" for song in singer_songs)
        for singer_songs in songs_by_singer.values()
    ):
        kept_splits = {}
    split = dict.fromkeys(songs, "train") | kept_splits
    singers_of: dict[str, set[str]] = {song: set() for song in songs}
    for singer, singer_songs in songs_by_singer.items():
        for song in singer_songs:
            singers_of[song].add(singer)
    training_songs = {
        singer: sum(split[song] == "train" for song in singer_songs) for singer, singer_songs in songs_by_singer.items()
    }

    def spare(song: str) -> bool:
        return (
            song not in kept_splits
            and split[song] == "train"
            and all(training_songs[singer] > 1 for singer in singers_of[song])
        )

    def move(song: str, name: str) -> None:
        split[song] = name
        for singer in singers_of[song]:
            training_songs[singer] -= 1

    if valid > 0:
        _validate_everybody(songs_by_singer, singers_of, split, order, spare, move)
    for name, share in (("valid", valid), ("test", test)):
        missing = _share(share, len(songs)) - list(split.values()).count(name)
        for song in order:
            if missing > 0 and spare(song):
                move(song, name)
                missing -= 1
    return split


def _validate_everybody(songs_by_singer, singers_of, split, order, spare, move) -> None:
    """Move songs to "valid", each time the one with the most singers who have none there yet."""
    covered = {singer for song, singers in singers_of.items() if split[song] == "valid" for singer in singers}
    while True:
        wanting = {
            singer
            for singer, songs in songs_by_singer.items()
            if singer not in covered and (len(songs) >= ENOUGH or len(covered) < 2)
        }
        song = max(filter(spare, order), key=lambda song: len(singers_of[song] & wanting), default=None)
        if song is None or not singers_of[song] & wanting:
            return
        move(song, "valid")
        covered |= singers_of[song]


def _share(share: float, count: int) -> int:
    return max(1, round(share * count)) if share > 0 and count > 1 else 0
