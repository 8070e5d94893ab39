"""Reading numpy's files without unpickling or unpacking, and without trusting a header's size of its array."""

from __future__ import annotations

import io
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fastsvc import reading
from fastsvc.errors import ConfigError, FastsvcError

if TYPE_CHECKING:
    import numpy as np

MOST = 1000  # arrays of a file
DIMENSIONS = 8
_DAMAGED = (OSError, ValueError, TypeError, EOFError, NotImplementedError, RuntimeError, KeyError)
_DAMAGED += (zipfile.BadZipFile, zlib.error, struct.error, MemoryError, SyntaxError, OverflowError, tokenize.TokenError)


def npz(path, error: type[FastsvcError] = ConfigError) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` as numpy.savez writes it, by name. Raises ``error``, one line, for anything else."""
    with reading.open_file(path, error) as file:
        try:
            return dict(_arrays(file))
        except _DAMAGED as reason:
            raise _error(path, reason, error) from None


def npy(path, error: type[FastsvcError] = ConfigError) -> np.ndarray:
    """The array of an `.npy`. Raises ``error``, one line, for anything else."""
    with reading.open_file(path, error) as file:
        try:
            return array(file, os.fstat(file.fileno()).st_size)
        except _DAMAGED as reason:
            raise _error(path, reason, error) from None


def _arrays(file: BinaryIO):
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > MOST or sum(entry.file_size for entry in entries) > size:
            raise ValueError("it unpacks to more than its own size")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{entry.filename[:60]!r} is packed")
            with archive.open(entry) as stream:
                yield entry.filename.removesuffix(".npy"), array(stream, entry.file_size)


def array(file, size: int) -> np.ndarray:
    """One array from a stream of ``size`` bytes. Raises ValueError where header and size differ."""
    import numpy as np

    header = io.BytesIO(file.read(min(size, 2**16)))
    version = np.lib.format.read_magic(header)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    read_header = readers.get(version)
    if read_header is None:
        raise ValueError(f"its format version is {version}")
    shape, fortran, kind = read_header(header)
    count = 1
    for length in shape:
        count *= length
    if kind.hasobject or len(shape) > DIMENSIONS or min(shape, default=0) < 0:
        raise ValueError(f"it holds {kind} of {len(shape)} dimensions")
    if header.tell() + count * kind.itemsize != size:
        raise ValueError(f"its header says {count} numbers, its size another")
    data = header.read() + file.read()
    return np.frombuffer(data, kind, count).reshape(shape, order="F" if fortran else "C").copy()


def _error(path: Path, reason: BaseException, error: type[FastsvcError]) -> FastsvcError:
    line = (str(reason).splitlines() or [type(reason).__name__])[0][:200]
    return error(f"{path}: cannot be read ({line})", "make it again")
