"""A recording as libsndfile shall see it: with the sizes that its header leaves open, and without what follows it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsvc.audio.whole import Source


class View:
    """A file for libsndfile: ``source`` up to ``end``, with ``patches`` {place: bytes} in place of what is there."""

    def __init__(self, source: Source, end: int | None = None, patches: dict[int, bytes] | None = None):
        self._source, self._patches = source, patches or {}
        self._size = source.size if end is None else min(end, source.size)
        self._place = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = max(0, offset + (0, self._place, self._size)[whence])
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, count: int = -1) -> bytes:
        left = max(0, self._size - self._place)
        try:
            content = self._source.at(self._place, left if count < 0 else min(count, left))
        except OSError:  # an exception cannot pass through C code; what is missing is noticed
            return b""
        for place, patch in self._patches.items():
            first, last = max(place, self._place), min(place + len(patch), self._place + len(content))
            if first < last:
                inside = patch[first - place : last - place]
                content = content[: first - self._place] + inside + content[last - self._place :]
        self._place += len(content)
        return content
