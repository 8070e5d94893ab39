"""Small arrays that strangers made, in numpy's `.npy`: neither unpickled nor believed about their size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastsvc.errors import CheckpointError

LIMIT = 2**20  # bytes


def vector(path: Path, count: int) -> tuple[float, ...]:
    """The ``count`` finite numbers of a file. Raises CheckpointError for anything else."""
    try:
        with open(path, "rb") as file:
            if path.stat().st_size > LIMIT:
                raise CheckpointError(f"{path} is larger than {LIMIT >> 20} MB", f"{count} numbers are expected")
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"its format version is {version}")
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            data = file.read()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {str(error).splitlines()[0]}", "copy it again") from None
    if dtype.kind != "f" or int(np.prod(shape, dtype=object)) != count or len(data) != count * dtype.itemsize:
        raise CheckpointError(
            f"{path} holds {dtype} of shape {shape}, not {count} floating-point numbers, one a mel bin",
            "give the file that belongs to this checkpoint's dataset",
        )
    values = np.frombuffer(data, dtype)
    if not np.isfinite(values).all():
        raise CheckpointError(f"{path} holds values that are not finite", "compute it again")
    return tuple(float(value) for value in values)
