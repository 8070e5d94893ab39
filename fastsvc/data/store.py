"""Writing the files of a corpus so that a broken run leaves whole files only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastsvc import files, reading
from fastsvc.errors import ConfigError

LIMIT = 512 * 2**20  # bytes of a corpus's description: 3 kB for each item


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An uncompressed .npz, whole or not at all. Raises OutputError."""
    with files.writing(path) as file:
        np.savez(file, **arrays)


def save_array(path: Path, array: np.ndarray) -> None:
    """The same for one array, as .npy."""
    with files.writing(path) as file:
        np.save(file, array)


def save_json(path: Path, data) -> None:
    """The same for JSON."""
    files.write_json(path, data, indent=None)


def load_json(path: Path) -> dict:
    """Raises ConfigError where it is missing or damaged."""
    if not path.exists():
        raise ConfigError(f"{path}: the file does not exist", "make the corpus with `fastsvc prepare`")
    content = reading.read_bytes(path, LIMIT).decode(errors="surrogateescape")
    try:
        data = reading.parse_json(content)
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be read ({error})", "prepare the corpus again") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds a {type(data).__name__}, not a mapping", "prepare the corpus again")
    return data
