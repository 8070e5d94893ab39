"""The bytes of an open file."""

from __future__ import annotations

import os
from typing import BinaryIO


class FileBytes:
    """The bytes of an open file by their offset; ``size``: its size when it was opened."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def at(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset`` on; fewer or none past the end. Raises OSError."""
        if offset >= self.size:  # also offsets that no file can have
            return b""
        self._file.seek(offset)
        return self._file.read(min(count, self.size - offset))
