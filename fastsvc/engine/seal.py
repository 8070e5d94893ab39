"""A seal for files that a library runs as code, TensorRT's plans above all: only those that this user made are opened.

Engine folders travel, and a plan in a stranger's could do anything. Its seal is a keyed hash (HMAC-SHA256); the key is
drawn once and lies in the user's cache folder, or is the text of ``$FASTSVC_KEY``, for those who build on one machine
what another one runs.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import os
import secrets
import warnings
from pathlib import Path

from fastsvc.engine import device_part

VARIABLE, FILE = "FASTSVC_KEY", "key"
MAGIC = b"fastsvc sealed 1\n"
KEY_BYTES, HEX = 32, 64


def closed(content: bytes) -> bytes:
    """The content under its seal."""
    return MAGIC + _seal(content) + b"\n" + content


def opened(content: bytes | None, name: str) -> bytes | None:
    """What is under a right seal. None, and a warning where there was something, if the seal is not this user's."""
    if content is None:
        return None
    start = len(MAGIC) + HEX
    inner = content[start + 1 :]
    if content.startswith(MAGIC) and hmac.compare_digest(content[len(MAGIC) : start], _seal(inner)):
        return inner
    why = f"it was not made by this user's fastsvc (${VARIABLE} lets one machine use what another one built)"
    warnings.warn(f"{name} is not used, and is made again: {why}", stacklevel=2)
    return None


def _seal(content: bytes) -> bytes:
    return hmac.new(_key(), content, hashlib.sha256).hexdigest().encode()


def _key() -> bytes:
    told = os.environ.get(VARIABLE)
    return told.encode() if told else _kept(device_part.cache_folder() / FILE)


@functools.lru_cache(maxsize=8)
def _kept(path: Path) -> bytes:
    """The key in a file, drawn and written if there is none; where it cannot be written it holds for this process."""
    drawn = secrets.token_bytes(KEY_BYTES)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{FILE}.{os.getpid()}.tmp")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(drawn)
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)  # whole, and only where there is none: two processes at once agree
        fresh.unlink()
    with contextlib.suppress(OSError):
        found = path.read_bytes()
        if len(found) == KEY_BYTES:
            return found
    return drawn
