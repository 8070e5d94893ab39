"""Folders for temporary files that no other user can read."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from fastsvc.errors import ResourceError
from fastsvc.files.leftovers import clear_leftovers, forget, temporary_name


def private_folder() -> Path:
    """A new folder of this user alone, in the system's folder for temporary files, from which those of killed processes
    are removed. Raises ResourceError."""
    try:
        parent = Path(tempfile.gettempdir())
        clear_leftovers(parent)
        folder = parent / temporary_name()
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise ResourceError(
            f"no folder for temporary files can be made ({error.strerror or error})",
            "free space, or name another folder in $TMPDIR",
        ) from None
    return folder


def remove_private(folder: Path) -> None:
    """Remove a folder of :func:`private_folder`; failures are left to the next one."""
    shutil.rmtree(folder, ignore_errors=True)
    forget(folder.name)
