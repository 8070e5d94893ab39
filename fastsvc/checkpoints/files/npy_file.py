"""Small arrays from strangers in numpy's `.npy`: never unpickled, and their stated size is not trusted."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from fastsvc import reading
from fastsvc.errors import CheckpointError

LIMIT, MAX_ARRAYS = 2**20, 2**16  # bytes of an array, arrays in a file


def vector(path: Path, count: int) -> tuple[float, ...]:
    """The ``count`` finite numbers in a file. Raises CheckpointError for anything else."""
    try:
        return numbers(reading.read_bytes(path, LIMIT, CheckpointError), count)
    except ValueError as error:
        raise CheckpointError(f"{path} {error}", "use the file that belongs to this checkpoint") from None


def vectors(path: Path, count: int) -> dict[str, tuple[float, ...]]:
    """The arrays of an `.npz` by name, each of ``count`` finite numbers. Raises CheckpointError for anything else."""
    arrays = {}
    try:
        with reading.open_file(path, CheckpointError) as opened, zipfile.ZipFile(opened) as archive:
            if len(archive.infolist()) > MAX_ARRAYS:
                raise ValueError(f"holds more than {MAX_ARRAYS} arrays")
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                if entry.file_size > LIMIT:
                    raise ValueError(f"unpacks {name!r} to {entry.file_size >> 20} MB")
                with archive.open(entry) as file:
                    data = file.read(LIMIT + 1)
                try:
                    arrays[name] = numbers(data, count)
                except ValueError as error:
                    raise ValueError(f"has under {name!r} what {error}") from None
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not an .npz file: {error}", "write the file with numpy.savez") from None
    except ValueError as error:
        raise CheckpointError(f"{path} {error}", f"one array of {count} numbers a name is expected") from None
    return arrays


def numbers(data: bytes, count: int) -> tuple[float, ...]:
    """The content of an `.npy`. Raises ValueError, whose text continues a sentence, for anything but these numbers."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"its format version is {version}")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
    except ValueError as error:
        raise ValueError(f"cannot be read: {str(error).splitlines()[0]}") from None
    payload = data[file.tell() :]
    if dtype.kind != "f" or int(np.prod(shape, dtype=object)) != count or len(payload) != count * dtype.itemsize:
        raise ValueError(f"holds {dtype} of shape {shape}, not {count} floating-point numbers")
    values = np.frombuffer(payload, dtype)
    if not np.isfinite(values).all():
        raise ValueError("holds values that are not finite")
    return tuple(float(value) for value in values)
