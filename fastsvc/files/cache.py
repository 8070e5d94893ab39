"""The user's cache folder, and the hash of a file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CACHE = "FASTSVC_CACHE"


def cache_folder() -> Path:
    """``$FASTSVC_CACHE``, else ``$XDG_CACHE_HOME/fastsvc``, else ``~/.cache/fastsvc``."""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastsvc"


def sha256(path: str | os.PathLike) -> str:
    """The hash of a file's content, 64 hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
