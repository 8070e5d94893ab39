"""Writing the files of a corpus so that a broken run leaves whole files only."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from fastsvc import reading
from fastsvc.errors import ConfigError, OutputError

LIMIT = 512 * 2**20  # bytes of a corpus's description: 3 kB for each item


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An uncompressed .npz under a temporary name, then renamed. Raises OutputError."""
    _write(path, lambda file: np.savez(file, **arrays))


def save_array(path: Path, array: np.ndarray) -> None:
    """The same for one array, as .npy."""
    _write(path, lambda file: np.save(file, array))


def save_json(path: Path, data) -> None:
    """The same for JSON. Names of files need not be valid text, hence surrogates."""
    _write(path, lambda file: file.write(json.dumps(data, ensure_ascii=False).encode(errors="surrogateescape")))


def load_json(path: Path) -> dict:
    """Raises ConfigError where it is missing or damaged."""
    if not path.exists():
        raise ConfigError(f"{path}: the file does not exist", "make the corpus with `fastsvc prepare`")
    content = reading.whole(path, LIMIT).decode(errors="surrogateescape")
    try:
        data = reading.from_json(content)
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be read ({error})", "prepare the corpus again") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds a {type(data).__name__}, not a mapping", "prepare the corpus again")
    return data


def _write(path: Path, write) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            write(file)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error})", "check space and permissions") from None
    finally:
        temporary.unlink(missing_ok=True)
