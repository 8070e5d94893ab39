"""Writing the files of a corpus so that a broken run leaves whole files only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fastsvc import files
from fastsvc.errors import ConfigError


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
    try:
        return json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", "make the corpus with `fastsvc prepare`") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})", "prepare the corpus again") from None
