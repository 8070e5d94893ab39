"""The recordings of a batch, under all the names that lead to them: none of them is ever written over."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path


def folded(text: str) -> str:
    """One form of names that a file system may take for the same: letter case and Unicode composition are ignored."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


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


class Sources:
    """What must not be written over: ``paths``, what they lead to, and what else leads there."""

    def __init__(self, paths: Iterable[str | os.PathLike] = ()):
        self._folders: dict[str, tuple] = {}
        self._places, self._files = set(), set()
        for path in paths:
            real = os.path.realpath(path)
            self._places |= {self._place(path), self._place(real)}
            self._files.add(identity(path))
        self._files.discard(None)

    def hold(self, path: str | os.PathLike) -> bool:
        """Whether writing to ``path`` would replace one of them, or a link to one of them."""
        return (
            self._place(path) in self._places
            or self._place(os.path.realpath(path)) in self._places
            or identity(path) in self._files
        )

    def _place(self, path: str | os.PathLike) -> tuple:
        """The folder as the system knows it, and the folded name; so `In/a` and `in/a` differ where they do."""
        folder, name = os.path.split(os.fspath(path))
        if folder not in self._folders:
            self._folders[folder] = self._known(Path(os.path.realpath(folder or os.curdir)))
        return (*self._folders[folder], folded(name))

    @staticmethod
    def _known(folder: Path) -> tuple:
        """The nearest folder that exists, and the folded names below it."""
        missing: list[str] = []
        while not folder.is_dir() and folder != folder.parent:
            missing.insert(0, folded(folder.name))
            folder = folder.parent
        return (identity(folder) or folded(str(folder)), *missing)
