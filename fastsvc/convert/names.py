"""Names of results: unlike all inputs and each other, short enough, and the same for the same command."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fastsvc.convert.sources import Sources, folded
from fastsvc.file_names import fitted, safe_tag

_SAME, _INPUT = "another input has the same name", "it would replace an input"
_FOLDER, _LONG = "a folder has that name", "its name would be too long"


@dataclass(frozen=True)
class InputRecording:
    """A recording, and the relative path of its result."""

    source: Path
    folder: str  # name of the folder it was found through, or ""
    relative: Path  # path of its result below the output folder, still with the source's suffix
    linked: bool = False  # reached through a link


def natural_key(path: str | os.PathLike) -> list:
    """Sorting key by which "take 2" comes before "take 10", folder by folder."""
    return [
        [(1, int(piece), "") if piece.isdecimal() else (0, 0, piece.casefold()) for piece in re.split(r"(\d+)", part)]
        for part in Path(path).parts
    ]


def longest_name(folder: str | os.PathLike) -> int:
    """Most bytes of a file name in ``folder``, or in the nearest existing folder above it."""
    folder = Path(os.path.realpath(folder))
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        return min(255, os.pathconf(folder, "PC_NAME_MAX"))
    except (AttributeError, OSError, ValueError):  # Windows, and file systems without that limit
        return 255


def name_results(
    recordings: Sequence[InputRecording],
    suffixes: Sequence[str],
    out_dir: Path,
    tag: str,
    sources: Sources,
    tag_all: bool = False,
) -> tuple[list[Path], list[str]]:
    """(each result's path below ``out_dir``, notes on names that differ from the source's).

    A result has the source's name with its suffix from ``suffixes``. A name that would replace an input gets ``tag``;
    with ``tag_all`` every name does. Names that clash get the source's suffix, then its folder, then a number, until
    they differ. Every member of a clash is treated alike, so that names do not depend on the order of the inputs.
    """
    tag = safe_tag(tag) or "converted"
    if tag_all:
        recordings = [replace(recording, relative=_tagged(recording.relative, tag)) for recording in recordings]
    names = _Names(recordings, suffixes, out_dir, tag, sources)
    names.tag_names_of_inputs()
    names.add_suffixes()
    names.add_folders()
    names.tag_names_of_inputs()
    names.number()
    return [names.fitted(i) for i in range(len(recordings))], list(names.notes())


def _tagged(name: Path, tag: str) -> Path:
    return name.with_stem(f"{name.stem}_{tag}")


class _Names:
    def __init__(
        self, recordings: Sequence[InputRecording], suffixes: Sequence[str], out_dir: Path, tag: str, sources: Sources
    ):
        self.recordings, self.out_dir, self.tag, self.sources = recordings, out_dir, tag, sources
        self.plain = [recording.relative.with_suffix(suffix) for recording, suffix in zip(recordings, suffixes)]
        self.names = list(self.plain)  # before they are shortened
        self.reasons: list[list[str]] = [[] for _ in recordings]
        self.tagged: set[int] = set()
        self.max_bytes = longest_name(out_dir)
        self._folders: dict[Path, str] = {}
        self._sources: dict[Path, bool] = {}

    def fitted(self, i: int) -> Path:
        return Path(*(fitted(part, self.max_bytes) for part in self.names[i].parts))

    def key(self, i: int) -> str:
        """Equal for names that some file system takes for the same, and for two paths to one folder."""
        name = self.fitted(i)
        return f"{self._folder(name.parent)}/{folded(name.name)}"

    def _folder(self, folder: Path) -> str:
        if folder not in self._folders:
            self._folders[folder] = folded(os.path.realpath(self.out_dir / folder).replace(os.sep, "/").rstrip("/"))
        return self._folders[folder]

    def change(self, i: int, name: Path, reason: str) -> None:
        self.names[i] = name
        if reason not in self.reasons[i]:
            self.reasons[i].append(reason)

    def clashes(self) -> list[list[int]]:
        groups = defaultdict(list)
        for i in range(len(self.names)):
            groups[self.key(i)].append(i)
        return [group for group in groups.values() if len(group) > 1]

    def is_source(self, i: int) -> bool:
        name = self.fitted(i)
        if name not in self._sources:
            self._sources[name] = self.sources.hold(self.out_dir / name)
        return self._sources[name]

    def tag_names_of_inputs(self) -> None:
        for i, name in enumerate(self.names):
            if i not in self.tagged and self.is_source(i):
                self.tagged.add(i)
                self.change(i, _tagged(name, self.tag), _INPUT)

    def add_suffixes(self) -> None:
        for group in self.clashes():
            suffixes = {i: self.recordings[i].source.suffix.lower() for i in group}
            for i, suffix in suffixes.items():
                if suffix != self.names[i].suffix and len(set(suffixes.values())) > 1:
                    self.change(i, self.names[i].with_stem(self.names[i].stem + suffix), _SAME)

    def add_folders(self) -> None:
        for group in self.clashes():
            for i in group:
                folder = self.recordings[i].folder or os.path.basename(
                    os.path.dirname(os.path.realpath(self.recordings[i].source))
                )
                if folder:
                    self.change(i, folder / self.names[i], _SAME)

    def number(self) -> None:
        used = {self.key(i) for i in range(len(self.names))}
        folders = {self._folder(parent) for i in range(len(self.names)) for parent in self.fitted(i).parents}

        def obstacle(i: int) -> str:
            if self.is_source(i):
                return _INPUT
            return _FOLDER if self.key(i) in folders or (self.out_dir / self.fitted(i)).is_dir() else ""

        not_first = set()  # all members of a clash but the first by name
        for group in self.clashes():
            not_first |= set(sorted(group, key=lambda i: natural_key(os.path.realpath(self.recordings[i].source)))[1:])
        for i in range(len(self.names)):
            reason = obstacle(i) or (_SAME if i in not_first else "")
            plain, number = self.names[i], 2
            while reason and (number == 2 or self.key(i) in used or obstacle(i)):
                self.change(i, plain.with_stem(f"{plain.stem}-{number}"), reason)
                number += 1
            used.add(self.key(i))

    def notes(self) -> Iterator[str]:
        for i, recording in enumerate(self.recordings):
            name = self.fitted(i)
            if name != self.plain[i]:
                reasons = self.reasons[i] + [_LONG] * (name != self.names[i])
                yield f"{recording.source} is written as {name}: {', and '.join(reasons)}"
