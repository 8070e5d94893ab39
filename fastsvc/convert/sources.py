"""The recordings of a batch, under every name that leads to them. None of them is ever overwritten."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from fastsvc.files.tree import identity, same_recording

__all__ = ["Sources", "folded", "identity", "same_recording"]


def folded(text: str) -> str:
    """One form for names that a file system may take for the same: letter case and Unicode composition are ignored."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


class Sources:
    """Files that must not be overwritten: ``paths``, the files they lead to, and other names of those files."""

    def __init__(self, paths: Iterable[str | os.PathLike] = ()):
        self._folders: dict[str, tuple] = {}
        self._names, self._files = set(), set()
        for path in paths:
            real = os.path.realpath(path)
            self._names |= {self._name(path), self._name(real)}
            self._files.add(identity(path))
        self._files.discard(None)

    def hold(self, path: str | os.PathLike) -> bool:
        """Whether writing to ``path`` would replace one of them, or a link to one of them."""
        return (
            self._name(path) in self._names
            or self._name(os.path.realpath(path)) in self._names
            or identity(path) in self._files
        )

    def _name(self, path: str | os.PathLike) -> tuple:
        """The folder's identity and the folded name; `In/a` and `in/a` differ where the file system does so."""
        folder, name = os.path.split(os.fspath(path))
        if folder not in self._folders:
            self._folders[folder] = self._identity(Path(os.path.realpath(folder or os.curdir)))
        return (*self._folders[folder], folded(name))

    @staticmethod
    def _identity(folder: Path) -> tuple:
        """The identity of the nearest folder that exists, and the folded names below it."""
        missing: list[str] = []
        while not folder.is_dir() and folder != folder.parent:
            missing.insert(0, folded(folder.name))
            folder = folder.parent
        return (identity(folder) or folded(str(folder)), *missing)
