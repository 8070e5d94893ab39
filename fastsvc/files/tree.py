"""All files below a folder and behind its links, each folder once: the one way in which folders are searched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

Held = TypeVar("Held")  # what is known of a folder from those above it


def identity(path: str | os.PathLike) -> tuple[int, int] | None:
    """(device, inode) of the file or folder that ``path`` leads to, or None where nothing can be told."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None


def same_recording(path: str | os.PathLike):
    """A key that is equal for all ways to one file. Hard links are files of their own, as copies would be."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return os.path.realpath(path)
    alone = status.st_ino and status.st_nlink == 1
    return (status.st_dev, status.st_ino) if alone else os.path.realpath(path)


class Tree(Generic[Held]):
    """A search; subclasses take what it meets. Hidden files and folders are left out.

    Links to folders are followed after all that is reached without them, so a folder is met under a name of its own
    where it has one. A link up to a folder that holds it, or to one that was met, leads nowhere (:meth:`again`).
    """

    def __init__(self, folder: Path, order: Callable[[str], object] = str):
        self.folder, self.order = folder, order
        self.seen: dict[object, Path] = {}  # folders, and the names under which they were met
        self.links: list[tuple[Path, Held]] = []

    # ---- for subclasses

    def file(self, path: Path, held: Held, linked: bool) -> None:
        """Something that is no folder: a file, a pipe, a dead link. ``linked``: reached through a link, or one."""
        raise NotImplementedError

    def unlisted(self, folder: Path, error: OSError) -> None:
        """A folder that cannot be listed."""
        raise NotImplementedError

    def again(self, folder: Path, first: Path | None) -> None:
        """A folder that was met as ``first`` before; None: a link to a folder above it."""

    def begin(self, folder: Path, held: Held) -> Held:
        """Before ``folder``: the top, or a link's."""
        return held

    def enters(self, folder: Path, known: object) -> bool:
        """Whether to look into a folder of that identity at all."""
        return True

    def listed(self, folder: Path, names: list[str], held: Held) -> Held:
        """What ``folder`` holds, before its files are met."""
        return held

    def into(self, held: Held, name: str) -> Held:
        return held

    def leads_on(self, link: Path) -> bool:
        """Whether to follow a link to a folder that is not above it."""
        return True

    # ---- the search

    def walk(self, held: Held) -> None:
        self._below(self.folder, held, False)
        while self.links:
            link, held = self.links.pop(0)
            self._below(link, held, True)

    def _below(self, folder: Path, held: Held, linked: bool) -> None:
        waiting = [(folder, self.begin(folder, held))]
        while waiting:
            folder, held = waiting.pop()
            known = identity(folder) or os.path.realpath(folder)
            if not self.enters(folder, known):
                continue
            if known in self.seen:
                self.again(folder, self.seen[known])
                continue
            self.seen[known] = folder
            try:
                with os.scandir(folder) as found:
                    entries = sorted(found, key=lambda entry: self.order(entry.name))
            except OSError as error:
                self.unlisted(folder, error)
                continue
            held = self.listed(folder, [entry.name for entry in entries], held)
            for entry in entries:
                path = folder / entry.name
                if entry.name.startswith("."):
                    continue
                if not _is_folder(entry):
                    self.file(path, held, linked or entry.is_symlink())
                elif not entry.is_symlink():
                    waiting.append((path, self.into(held, entry.name)))
                elif Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(path)):
                    self.again(path, None)
                elif self.leads_on(path):
                    self.links.append((path, self.into(held, entry.name)))


def once(met: Iterable[tuple[bool, Path]]) -> tuple[list[Path], list[tuple[Path, Path]]]:
    """(linked, file) as :meth:`Tree.file` met them → the files, sorted, each under one name, that of no link where it
    has one; and (other name, that one)."""
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

    def file(self, path: Path, held: None, linked: bool) -> None:
        self.met.append((linked, path))

    def unlisted(self, folder: Path, error: OSError) -> None:
        pass


def files_below(folder: Path) -> list[Path]:
    """All files of a tree, sorted, each once; folders that cannot be listed are passed over."""
    search = _All(folder)
    search.walk(None)
    return once(search.met)[0]


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or through what may not be searched
        return False
