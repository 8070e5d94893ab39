"""Renaming that is patient on Windows, where a name cannot change while any program has the file open."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

WINDOWS = sys.platform == "win32"
WAITS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # a virus scanner holds a new file for a moment


def replace(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """os.replace. Raises OSError; on Windows after 1.6 s of trying where the file is open or may not be replaced."""
    _patient(os.replace, source, target)


def rename(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """os.rename, of a folder, too: on Windows it fails while a file inside is open or mapped. Raises OSError."""
    _patient(os.rename, source, target)


def _patient(action: Callable, source: str | os.PathLike, target: str | os.PathLike) -> None:
    for wait_s in WAITS_S if WINDOWS else ():
        try:
            return action(source, target)
        except PermissionError:
            time.sleep(wait_s)
    return action(source, target)
