"""Parts of a file and patched bytes, presented to libsndfile as one file."""

from __future__ import annotations

import os
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes


class FilePart:
    """``pieces`` of ``source`` one behind the other, with the methods of FileBytes.

    A piece is (its offset in the source, the offset after it) or the bytes themselves.
    """

    def __init__(self, source: FileBytes | FilePart, *pieces: tuple[int, int] | bytes):
        self._source, self._pieces = source, []
        self._offsets, self.size = [], 0
        for piece in pieces:
            if not isinstance(piece, bytes):
                piece = piece[0], min(piece[1], source.size)
            length = len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
            if length > 0:
                self._pieces.append(piece)
                self._offsets.append(self.size)
                self.size += length

    def at(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset`` on; fewer or none past the end. Raises OSError."""
        chunks, number = [], max(0, bisect_right(self._offsets, offset) - 1)
        while count > 0 and offset < self.size:
            piece, skip = self._pieces[number], offset - self._offsets[number]
            if isinstance(piece, bytes):
                data = piece[skip : skip + count]
            else:
                data = self._source.at(piece[0] + skip, min(count, piece[1] - piece[0] - skip))
            if not data:
                break  # the file became shorter meanwhile
            chunks.append(data)
            offset, count, number = offset + len(data), count - len(data), number + 1
            if number == len(self._offsets) or offset < self._offsets[number]:
                break  # at its end, or shorter than it was
        return b"".join(chunks)


def patched(source: FileBytes | FilePart, patches: dict[int, bytes]) -> FilePart:
    """``source`` with the bytes of ``patches`` at their offsets, in order, instead of its own bytes."""
    pieces, position = [], 0
    for offset, content in patches.items():
        pieces += [(position, offset), content]
        position = offset + len(content)
    return FilePart(source, *pieces, (position, source.size))


class SndfileStream:
    """``source`` as a file for libsndfile."""

    def __init__(self, source: FileBytes | FilePart):
        self._source, self._offset = source, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._offset = max(0, offset + (0, self._offset, self._source.size)[whence])
        return self._offset

    def tell(self) -> int:
        return self._offset

    def read(self, count: int = -1) -> bytes:
        remaining = max(0, self._source.size - self._offset)
        try:
            content = self._source.at(self._offset, remaining if count < 0 else min(count, remaining))
        except OSError:  # an exception cannot pass through C code; missing bytes are noticed later
            return b""
        self._offset += len(content)
        return content
