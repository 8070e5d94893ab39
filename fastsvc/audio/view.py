"""A recording as libsndfile shall see it: parts of a file, with the length that its header leaves open."""

from __future__ import annotations

import os
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsvc.audio.source import Source


class Part:
    """``pieces`` of ``source`` one behind the other, as if that were a file; what a Source offers.

    A piece is (place in the source where it begins, place after it) or the bytes themselves.
    """

    def __init__(self, source: Source | Part, *pieces: tuple[int, int] | bytes):
        self._source, self._pieces = source, []
        self._places, self.size = [], 0
        for piece in pieces:
            if not isinstance(piece, bytes):
                piece = piece[0], min(piece[1], source.size)
            length = len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
            if length > 0:
                self._pieces.append(piece)
                self._places.append(self.size)
                self.size += length

    def at(self, place: int, count: int) -> bytes:
        """Empty or short past the end. Raises OSError."""
        found, number = [], max(0, bisect_right(self._places, place) - 1)
        while count > 0 and place < self.size:
            piece, skip = self._pieces[number], place - self._places[number]
            if isinstance(piece, bytes):
                got = piece[skip : skip + count]
            else:
                got = self._source.at(piece[0] + skip, min(count, piece[1] - piece[0] - skip))
            if not got:
                break  # the file became shorter meanwhile
            found.append(got)
            place, count, number = place + len(got), count - len(got), number + 1
            if number == len(self._places) or place < self._places[number]:
                break  # at its end, or shorter than it was
        return b"".join(found)


def patched(source: Source | Part, patches: dict[int, bytes]) -> Part:
    """``source`` with the bytes of ``patches`` at their places, in order, instead of what is there."""
    pieces, done = [], 0
    for place, content in patches.items():
        pieces += [(done, place), content]
        done = place + len(content)
    return Part(source, *pieces, (done, source.size))


class View:
    """``source`` as a file for libsndfile."""

    def __init__(self, source: Source | Part):
        self._source, self._place = source, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = max(0, offset + (0, self._place, self._source.size)[whence])
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, count: int = -1) -> bytes:
        left = max(0, self._source.size - self._place)
        try:
            content = self._source.at(self._place, left if count < 0 else min(count, left))
        except OSError:  # an exception cannot pass through C code; what is missing is noticed
            return b""
        self._place += len(content)
        return content
