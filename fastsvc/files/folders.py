"""One folder, whole or not at all, in place of another."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from fastsvc.files.leftovers import NEW, OLD, clear_leftovers, forget, temporary_name
from fastsvc.files.whole import REMEDY, refused, sync

_AT_FDCWD, _LINUX_EXCHANGE, _MACOS_SWAP = -100, 2, 2
_UNABLE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextlib.contextmanager
def new_folder(out: str | os.PathLike, *, replace: bool = False, remedy: str = REMEDY) -> Iterator[Path]:
    """A folder to fill, which becomes ``out`` at the end of the block.

    With ``replace`` what stands there is exchanged for it in one call of the system and then removed (of a link, the
    link alone), so that there is a whole folder of that name at every moment. Leaving the block by an exception leaves
    ``out`` as it was. Raises OutputError.
    """
    out = Path(out)
    with refused(out, remedy):
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
                os.rename(holder / NEW, out)
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
    """What was made takes the place of ``out``, which ends up in ``holder``."""
    if _in_one_call(holder / NEW, out):
        if (holder / NEW).is_symlink():
            (holder / NEW).unlink()
        return
    (holder / OLD).mkdir()
    os.rename(out, holder / OLD / out.name)  # clear_leftovers gives the name back, should this process die here
    try:
        os.rename(holder / NEW, out)
    except BaseException:
        os.rename(holder / OLD / out.name, out)
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
