"""All files below a folder and behind its links, each folder once; every search of folders uses this."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

Inherited = TypeVar("Inherited")  # facts about a folder that come from the folders above it


def identity(path: str | os.PathLike) -> tuple[int, int] | None:
    """(device, inode) of the file or folder that ``path`` leads to, or None where they are unknown."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None


def same_recording(path: str | os.PathLike):
    """A key that is equal for all paths to one file. Hard links count as separate files, as copies do."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return os.path.realpath(path)
    alone = status.st_ino and status.st_nlink == 1
    return (status.st_dev, status.st_ino) if alone else os.path.realpath(path)


class Tree(Generic[Inherited]):
    """A search, whose subclasses handle the files. Hidden files and folders are left out.

    Links to folders are followed after everything that is reached without them, so a folder is met under its own name
    where it has one. A link to a folder that holds it, or to one met before, is not followed (:meth:`met_again`).
    """

    def __init__(self, folder: Path, order: Callable[[str], object] = str):
        self.folder, self.order = folder, order
        self.seen: dict[object, Path] = {}  # folders, and the names under which they were met
        self.links: list[tuple[Path, Inherited]] = []

    # ---- for subclasses

    def file(self, path: Path, inherited: Inherited, linked: bool) -> None:
        """Handle a file, a pipe or a dead link. ``linked``: it is a link, or was reached through one."""
        raise NotImplementedError

    def unlisted(self, folder: Path, error: OSError) -> None:
        """Handle a folder that cannot be listed."""
        raise NotImplementedError

    def met_again(self, folder: Path, first: Path | None) -> None:
        """Handle a folder that was met as ``first`` before; None: a link to a folder above it."""

    def begin(self, folder: Path, inherited: Inherited) -> Inherited:
        """What ``folder``, the top or the target of a link, inherits."""
        return inherited

    def enters(self, folder: Path, folder_id: object) -> bool:
        """Whether to search this folder at all."""
        return True

    def listed(self, folder: Path, names: list[str], inherited: Inherited) -> Inherited:
        """What the files of ``folder``, whose ``names`` are known now, inherit."""
        return inherited

    def into(self, inherited: Inherited, name: str) -> Inherited:
        """What the subfolder ``name`` inherits."""
        return inherited

    def follows_link(self, link: Path) -> bool:
        """Whether to follow a link to a folder that is not above it."""
        return True

    # ---- the search

    def walk(self, inherited: Inherited) -> None:
        self._below(self.folder, inherited, False)
        while self.links:
            link, inherited = self.links.pop(0)
            self._below(link, inherited, True)

    def _below(self, folder: Path, inherited: Inherited, linked: bool) -> None:
        waiting = [(folder, self.begin(folder, inherited))]
        while waiting:
            folder, inherited = waiting.pop()
            folder_id = identity(folder) or os.path.realpath(folder)
            if not self.enters(folder, folder_id):
                continue
            if folder_id in self.seen:
                self.met_again(folder, self.seen[folder_id])
                continue
            self.seen[folder_id] = folder
            try:
                with os.scandir(folder) as scan:
                    entries = sorted(scan, key=lambda entry: self.order(entry.name))
            except OSError as error:
                self.unlisted(folder, error)
                continue
            inherited = self.listed(folder, [entry.name for entry in entries], inherited)
            for entry in entries:
                path = folder / entry.name
                if entry.name.startswith("."):
                    continue
                if not _is_folder(entry):
                    self.file(path, inherited, linked or entry.is_symlink())
                elif not entry.is_symlink():
                    waiting.append((path, self.into(inherited, entry.name)))
                elif Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(path)):
                    self.met_again(path, None)
                elif self.follows_link(path):
                    self.links.append((path, self.into(inherited, entry.name)))


def unique_files(met: Iterable[tuple[bool, Path]]) -> tuple[list[Path], list[tuple[Path, Path]]]:
    """(linked, file) pairs of :meth:`Tree.file` → (files, sorted, each once, not through a link where possible;
    pairs of another name and the chosen one)."""
    chosen, others = {}, []
    for _, path in sorted(met):
        first = chosen.setdefault(same_recording(path), path)
        if first is not path:
            others.append((path, first))
    return sorted(chosen.values()), others


class _All(Tree[None]):
    def __init__(self, folder: Path):
        super().__init__(folder)
        self.met: list[tuple[bool, Path]] = []

    def file(self, path: Path, inherited: None, linked: bool) -> None:
        self.met.append((linked, path))

    def unlisted(self, folder: Path, error: OSError) -> None:
        pass


def files_below(folder: Path) -> list[Path]:
    """All files of a tree, sorted, each once; folders that cannot be listed are passed over."""
    search = _All(folder)
    search.walk(None)
    return unique_files(search.met)[0]


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or through what may not be searched
        return False
