"""A recording as libsndfile shall see it: with the length that its header leaves open, and without what follows it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsvc.audio.whole import Source


class View:
    """A file for libsndfile: ``head``, then ``source`` from ``begin`` to ``end``.

    ``patches`` {place in the source: bytes} come in place of what is there; not together with a ``head``.
    """

    def __init__(self, source: Source, end: int | None = None, patches=None, head: bytes = b"", begin: int = 0):
        self._source, self._patches, self._head, self._begin = source, patches or {}, head, begin
        self._size = len(head) + max(0, (source.size if end is None else min(end, source.size)) - begin)
        self._place = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = max(0, offset + (0, self._place, self._size)[whence])
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, count: int = -1) -> bytes:
        left = max(0, self._size - self._place)
        count = left if count < 0 else min(count, left)
        content = self._head[self._place : self._place + count]
        place = max(0, self._place - len(self._head)) + self._begin
        try:
            rest = self._source.at(place, count - len(content))
        except OSError:  # an exception cannot pass through C code; what is missing is noticed
            return b""
        for patched, patch in self._patches.items():
            first, last = max(patched, place), min(patched + len(patch), place + len(rest))
            if first < last:
                rest = rest[: first - place] + patch[first - patched : last - patched] + rest[last - place :]
        self._place += len(content) + len(rest)
        return content + rest
