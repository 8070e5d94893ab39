"""A recording as bytes."""

from __future__ import annotations

import os
from typing import BinaryIO


class Source:
    """Bytes of an open file by their place; empty or short past the end that it had then."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def at(self, place: int, count: int) -> bytes:
        """Raises OSError."""
        if place >= self.size:  # also what no file can be as long as
            return b""
        self._file.seek(place)
        return self._file.read(min(count, self.size - place))
