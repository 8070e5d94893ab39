"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

from fastsvc.errors import OutputError
from fastsvc.files.atomic import REMEDY, as_output_error, reason
from fastsvc.files.leftovers import LOCK

_UNABLE = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)  # what a file system answers


@contextlib.contextmanager
def folder_lock(folder: str | os.PathLike, purpose: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Lock ``folder`` (made if missing) for this process; the system releases the lock however the process ends.

    ``purpose`` is what this process does there, for the message. Raises OutputError where another process holds it
    for longer than ``wait_s`` (negative: for ever), or where the folder cannot be written. On a file system without
    locks a warning is issued, and the block runs unlocked.
    """
    import filelock

    folder = Path(folder)
    with as_output_error(folder, REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(folder / LOCK) and not _may_be_lock(folder / LOCK):
            raise OutputError(f"{folder / LOCK} is not a lock of fastsvc", "remove that file")
    lock = filelock.FileLock(folder / LOCK, timeout=wait_s)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise OutputError(
            f"{folder} is in use by another fastsvc: {purpose} needs it alone",
            "wait until that one has ended, or choose another folder",
        ) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _UNABLE:
            raise OutputError(f"{folder}: cannot be written: {reason(error)}", REMEDY) from None
        warnings.warn(f"{folder} cannot be locked ({error}): check that no other fastsvc works there", stacklevel=3)
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _may_be_lock(path: Path) -> bool:
    """Whether ``path`` may become a lock without loss: some versions of filelock empty it. Raises OSError."""
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and (status.st_nlink == 1 or status.st_size == 0)
