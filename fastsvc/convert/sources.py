"""The recordings of a batch, under all the names that lead to them: none of them is ever written over."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from fastsvc.files.tree import identity, same_recording

__all__ = ["Sources", "folded", "identity", "same_recording"]


def folded(text: str) -> str:
    """One form of names that a file system may take for the same: letter case and Unicode composition are ignored."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


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
