"""Fields of a binary file, one after the other: none is read before the file is known to be long enough for it."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastsvc.errors import CheckpointError

DAMAGED = "it is damaged or was changed: copy or download it again, or train the index again"


class Fields:
    """Reads ``file`` from its beginning to its end. Every error is a CheckpointError that begins with ``path``."""

    def __init__(self, file: BinaryIO, path: Path):
        self.file, self.path = file, path
        self.left = os.fstat(file.fileno()).st_size  # bytes
        self._digest = hashlib.sha256()

    def error(self, message: str, remedy: str) -> CheckpointError:
        return CheckpointError(f"{self.path} {message}", remedy)

    def require(self, size: int, what: str) -> None:
        """Raises unless ``size`` more bytes are there."""
        if size > self.left:
            raise self.error(f"is cut off: its {what} take {size} bytes, and {self.left} are left", DAMAGED)

    def bytes(self, size: int, what: str) -> bytes:
        self.require(size, what)
        try:
            data = self.file.read(size)
        except OSError as reason:
            raise self.error(f"cannot be read: {reason.strerror or reason}", "copy it again") from None
        if len(data) < size:  # it was made shorter meanwhile
            raise self.error(f"is cut off in its {what}", DAMAGED)
        self.left -= size
        self._digest.update(data)
        return data

    def word(self, what: str) -> bytes:
        """Four letters."""
        return self.bytes(4, what)

    def numbers(self, form: str, what: str) -> tuple[int, ...]:
        """As struct.unpack, little-endian and unpadded."""
        form = "<" + form.removeprefix("<")
        return struct.unpack(form, self.bytes(struct.calcsize(form), what))

    def number(self, form: str, what: str) -> int:
        return self.numbers(form, what)[0]

    def array(self, dtype: str, count: int, what: str) -> np.ndarray:
        """[count] of the little-endian ``dtype``."""
        return np.frombuffer(self.bytes(count * np.dtype(dtype).itemsize, what), dtype)

    def floats(self, rows: int, width: int, what: str) -> np.ndarray:
        """[rows, width] float32. Raises for numbers that are not finite."""
        values = self.array("<f4", rows * width, what)
        if not np.isfinite(values).all():
            raise self.error(f"holds {what} that are not finite numbers", DAMAGED)
        return values.astype(np.float32).reshape(rows, width)  # a copy: what was read is read-only

    def finish(self) -> None:
        """Raises where the file goes on."""
        if self.left:
            raise self.error(f"goes on for {self.left} bytes after its end", DAMAGED)

    def sha256(self) -> str:
        """Of all that was read."""
        return self._digest.hexdigest()
