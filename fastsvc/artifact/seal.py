"""A seal for files that run as code, TensorRT's plans and compiled kernels: only this user's own files are opened.

Engine folders travel, and code in a stranger's folder could do anything. A seal is a keyed hash (HMAC-SHA256) of the
content and of its label, so that no sealed file passes for another. The key is drawn once and lies in the user's cache
folder. To build on one machine and run on another, the key is derived from ``$FASTSVC_KEY`` on both.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import secrets
import stat
import warnings
from dataclasses import astuple, dataclass
from pathlib import Path

from fastsvc import files
from fastsvc.errors import EngineError, OutputError

VARIABLE, FILE = "FASTSVC_KEY", "key"
MAGIC = b"fastsvc sealed 2\n"
KEY_BYTES, HEX = 32, 64
MIN_CHARACTERS = 16  # of $FASTSVC_KEY
WAIT_S = 10.0  # wait for another process that draws the key
# Slow on purpose, against guessing: about 0.1 s and 32 MB, once a process. Two machines must derive the same key from
# the same words, so the salt is fixed.
SCRYPT = {"salt": b"fastsvc seal", "n": 1 << 15, "r": 8, "p": 1, "maxmem": 1 << 26, "dklen": KEY_BYTES}


@dataclass(frozen=True)
class Label:
    """The identity of a sealed file: its engine (Artifact.identity), device (sm_90) and name."""

    engine: str
    device: str
    name: str

    def __str__(self) -> str:
        return f"{self.device}/{self.name}"


def add_seal(content: bytes, label: Label) -> bytes:
    """The content under its seal. Raises EngineError for a ``$FASTSVC_KEY`` that is too short."""
    return MAGIC + _seal(content, label) + b"\n" + content


def open_sealed(content: bytes | None, label: Label) -> bytes | None:
    """The content under this user's seal. Without that seal None, and a warning if there was content.

    Raises EngineError for a ``$FASTSVC_KEY`` that is too short.
    """
    if content is None:
        return None
    start = len(MAGIC) + HEX
    payload = content[start + 1 :]
    if content.startswith(MAGIC) and hmac.compare_digest(content[len(MAGIC) : start], _seal(payload, label)):
        return payload
    why = f"it was not made by this user's fastsvc for this engine (${VARIABLE} lets one machine use another's)"
    warnings.warn(f"{label} is not used, and is made again: {why}", stacklevel=3)
    return None


def check() -> None:
    """Raises EngineError for a ``$FASTSVC_KEY`` that is too short; called before minutes of work."""
    if os.environ.get(VARIABLE):
        _key()


def _seal(content: bytes, label: Label) -> bytes:
    digest = hmac.new(_key(), digestmod=hashlib.sha256)
    for part in map(str.encode, astuple(label)):
        digest.update(len(part).to_bytes(8, "big") + part)
    digest.update(content)
    return digest.hexdigest().encode()


def _key() -> bytes:
    words = os.environ.get(VARIABLE)
    return _key_from(words) if words else _key_in(files.cache_folder() / FILE)


@functools.lru_cache(maxsize=4)
def _key_from(words: str) -> bytes:
    if len(words) < MIN_CHARACTERS:
        raise EngineError(
            f"${VARIABLE} has {len(words)} characters, so others could guess it",
            f"set it to at least {MIN_CHARACTERS} characters, such as `openssl rand -hex 16` prints,"
            " the same on all machines",
        )
    return hashlib.scrypt(words.encode("utf-8", "surrogateescape"), **SCRYPT)


@functools.lru_cache(maxsize=8)
def _key_in(path: Path) -> bytes:
    """The key in a file, which is drawn and written if it is missing.

    A key that somebody else may know, or that cannot be kept, gives a warning and a new key for this process.
    """
    try:
        if not os.path.lexists(path):
            with files.folder_lock(path.parent, "drawing a key", wait_s=WAIT_S):
                if not os.path.lexists(path):  # another process may have drawn it meanwhile
                    files.write_bytes(path, secrets.token_bytes(KEY_BYTES), permissions=0o600)
        return _read(path)
    except _Unfit as error:
        why, remedy = str(error), f"remove it and a new one is drawn, or set ${VARIABLE}"
    except OutputError as error:
        why, remedy = error.message, f"set ${VARIABLE}, or $FASTSVC_CACHE to a folder of your own"
    except OSError as error:
        why, remedy = files.reason(error), f"check who may read the key, or set ${VARIABLE}"
    warnings.warn(
        f"the key {path} is not used: {why} ({remedy}); kernels and plans are compiled again in the next run",
        stacklevel=5,
    )
    return secrets.token_bytes(KEY_BYTES)


class _Unfit(Exception):
    """Somebody else may have written or read the key."""


def _read(path: Path) -> bytes:
    """The key. Raises _Unfit or OSError."""
    if path.is_symlink():
        raise _Unfit("it is a link")
    if not path.is_file():
        raise _Unfit("it is not a regular file")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    try:
        status = os.fstat(handle)  # of the open file: the name may belong to another file by now
        if not stat.S_ISREG(status.st_mode):
            raise _Unfit("it is not a regular file")
        if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
            raise _Unfit("it belongs to another user")
        if hasattr(os, "geteuid") and status.st_mode & 0o077:
            raise _Unfit(f"its permissions are {stat.S_IMODE(status.st_mode):03o}, so others may know it")
        key = os.read(handle, KEY_BYTES + 1)
    finally:
        os.close(handle)
    if len(key) != KEY_BYTES:
        raise _Unfit(f"it does not have {KEY_BYTES} bytes")
    return key
