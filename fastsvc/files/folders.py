"""Writing one folder so that it appears complete or not at all, and may replace another."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from fastsvc.files import renaming
from fastsvc.files.atomic import REMEDY, as_output_error, sync
from fastsvc.files.leftovers import NEW, OLD, clear_leftovers, forget, temporary_name

_AT_FDCWD, _LINUX_EXCHANGE, _MACOS_SWAP = -100, 2, 2
_UNABLE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextlib.contextmanager
def new_folder(out: str | os.PathLike, *, replace: bool = False, remedy: str = REMEDY) -> Iterator[Path]:
    """A folder to fill, which becomes ``out`` at the end of the block.

    With ``replace`` an old ``out`` is exchanged for the new one in one system call and then removed (of a link, only
    the link), so that a complete folder has the name at every moment. An exception leaves ``out`` as it was. Raises
    OutputError.
    """
    out = Path(out)
    with as_output_error(out, remedy):
        out.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(out.parent)
        holder = out.with_name(temporary_name())
        try:
            holder.mkdir()
            (holder / NEW).mkdir()
            yield holder / NEW
            _sync_all(holder / NEW)
            if replace and (out.exists() or out.is_symlink()):
                _exchange(holder, out)
            else:
                renaming.rename(holder / NEW, out)
            sync(out.parent)
        finally:
            shutil.rmtree(holder, ignore_errors=True)
            forget(holder.name)


def _sync_all(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            sync(Path(parent, name))
        sync(Path(parent))


def _exchange(holder: Path, out: Path) -> None:
    """Exchange the new folder in ``holder`` and ``out``."""
    if _in_one_call(holder / NEW, out):
        if (holder / NEW).is_symlink():
            (holder / NEW).unlink()
        return
    (holder / OLD).mkdir()
    renaming.rename(out, holder / OLD / out.name)  # if this process dies here, clear_leftovers restores the name
    try:
        renaming.rename(holder / NEW, out)
    except BaseException:
        renaming.rename(holder / OLD / out.name, out)
        raise


def _in_one_call(a: Path, b: Path) -> bool:
    """Exchange two names; False where the system or the file system cannot. Raises OSError."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            code = library.renamex_np(os.fsencode(a), os.fsencode(b), _MACOS_SWAP)
        elif sys.platform == "linux":
            code = library.renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _LINUX_EXCHANGE)
        else:
            return False
    except (AttributeError, OSError, TypeError):  # an old C library; Windows
        return False
    if code == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(b))
