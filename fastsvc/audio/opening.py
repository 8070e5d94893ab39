"""Opening what others bring: regular files only, so that a pipe or a device in a folder stops nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from fastsvc.errors import AudioError

# Should a pipe take the file's place after it was looked at, it is opened without waiting for a writer.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))


def regular(path: Path, what: str = "recording") -> BinaryIO:
    """The regular file at ``path`` (or where it links to), open for reading, without a buffer. Raises AudioError."""
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            file = open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | _FLAGS))  # noqa: SIM115
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                return file
            file.close()
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file", "check the path") from None
    except PermissionError:
        raise AudioError(f"{path}: no permission to read it", "chmod u+r, or run as its owner") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise AudioError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{path}: is a folder, not a {what}")
    raise AudioError(f"{path}: is not a regular file", f"save the {what} to a file first")
