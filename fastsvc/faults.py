"""Whose an error is: the user's or the machine's, told in one line with a remedy, or a fault of ours, told as such.

A fault of ours is whatever nobody foresaw. It is never dressed up as a bad file or a bad setting: its line names the
exception and the place, and a file keeps versions, command and traceback, which a report needs.
"""

from __future__ import annotations

import errno
import importlib.metadata
import os
import platform
import re
import shlex
import sys
import tempfile
import traceback
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from fastsvc.errors import FastsvcError, ResourceError

EXIT = 70  # sysexits' EX_SOFTWARE
TITLE = "a fault of fastsvc"
PACKAGES = ("fastsvc", "torch", "numpy", "triton", "soundfile", "click")

_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, NotImplementedError, TypeError)
_SIZE = re.compile(r"allocate\s*:?\s*([\d.]+ ?(?:[kKMGTPE]i?B|bytes))")
_MEMORY = ("can't allocate memory", "not enough memory", "CUDA out of memory", "HIP out of memory")
_SHORT_OF_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_OF_A_PATH = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENOTEMPTY, errno.EXDEV}
_OF_THE_SYSTEM = {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.EBUSY, errno.ENODEV, errno.ENXIO}
_INSIDE = Path(__file__).resolve().parent


def usual(error: BaseException) -> FastsvcError | None:
    """The line for what is no fault of ours: our own typed errors, memory, disk, permissions, missing packages.

    None: nobody foresaw it, so it is ours.
    """
    if isinstance(error, FastsvcError):
        return error
    if _is_memory(error):
        size = _SIZE.search(str(error))
        what = f"memory is too small: {size[1]} more were asked for" if size else "memory is too small"
        of = " of the GPU" if "CUDA" in str(error) else ""
        what = what.replace("memory", f"memory{of}", 1)
        return ResourceError(
            what, "convert or train less at a time: shorter recordings, --batch 1, a smaller batch.size"
        )
    if isinstance(error, BrokenProcessPool):
        return ResourceError(
            "a worker process was killed, probably for lack of memory", "use fewer processes: --jobs 1"
        )
    if isinstance(error, ImportError):
        return _missing(error)
    return _system(error) if isinstance(error, OSError) else None


def line(error: BaseException) -> str:
    """One line that says whose error it is: the user's as it stands, one of ours as :data:`TITLE`, and where."""
    known = usual(error)
    return str(known) if known is not None else f"{TITLE}: {kind(error)}{_place(error)}"


def is_bug(error: BaseException) -> bool:
    """Whether it is a mistake in Python code, where what libraries say of a device is as likely (their exceptions have
    no common base, and RuntimeError is what a driver, a compiler and a bug raise alike)."""
    return isinstance(error, _BUGS) and usual(error) is None


def reason(error: BaseException) -> str:
    """Why something optional does not run: :func:`line` of a mistake of ours, else what the library says."""
    known = usual(error)
    if known is not None or is_bug(error):
        return line(error)
    return " ".join(str(error).split())[:300] or type(error).__name__


def kind(error: BaseException) -> str:
    """The exception's name and its text, in one line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def details(error: BaseException) -> str:
    """What a report of a fault needs: versions, machine, command, traceback."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else "?"
    told = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return f"{TITLE}\ncommand: {command}\nversions: {versions}\nsystem: {system}\n\n{told}"


def keep(text: str) -> str:
    """Write :func:`details` where they can be found again; how to come by them, for a remedy."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="fastsvc-fault-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        return "please report it with what the same command prints with -v"
    return f"please report it with {file.name}, which has versions, command and traceback"


def told(error: BaseException) -> str:
    """:func:`line`; of a fault of ours also what to report, which is kept in a file."""
    return line(error) if usual(error) is not None else f"{line(error)} ({keep(details(error))})"


def _is_memory(error: BaseException) -> bool:
    """MemoryError, torch.OutOfMemoryError (without importing torch), or the CPU allocator's RuntimeError."""
    named = any(base.__name__ == "OutOfMemoryError" for base in type(error).__mro__)
    return (
        isinstance(error, MemoryError)
        or named
        or (isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY))
    )


def _missing(error: ImportError) -> FastsvcError | None:
    """A package of others that is not there or cannot be loaded; one of ours is our fault."""
    name = (error.name or "").partition(".")[0]
    if not name or name == "fastsvc":
        return None
    if isinstance(error, ModuleNotFoundError):
        return ResourceError(f"the package {name} is not installed", f"install it with: pip install {name}")
    return ResourceError(f"the package {name} cannot be loaded: {error}", f"install it again: pip install {name}")


def _system(error: OSError) -> FastsvcError | None:
    """What the system refuses; None where only a mistake of ours leads to it, or a file of our own is missing."""
    path = error.filename if isinstance(error.filename, (str, bytes)) else None
    why = f"{os.fsdecode(path)}: {error.strerror}" if path else str(error.strerror)
    if error.errno in _SHORT_OF_DISK:
        return ResourceError(why, "free space, then run the command again")
    if error.errno in _NOT_ALLOWED:
        return ResourceError(why, "check who may read and write there")
    if error.errno in _OF_THE_SYSTEM or (path and error.errno in _OF_A_PATH and not _own(path)):
        return ResourceError(why, "check the path")
    return None


def _own(path: str | bytes) -> bool:
    return _INSIDE in Path(os.fsdecode(path)).resolve().parents


def _place(error: BaseException) -> str:
    """The last place in our own code that the error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    roots = {_INSIDE}
    if not (_INSIDE / "kernels").is_dir() or (_INSIDE / "kernels").is_symlink():  # they lie beside us: a source tree
        roots |= {_INSIDE.parent / name for name in ("kernels", "build", "bench")}
    for frame in reversed(frames):
        path = Path(frame.filename).resolve()
        if roots & set(path.parents):
            return f" at {path.relative_to(_INSIDE.parent).as_posix()}:{frame.lineno}"
    return ""


def _version(package: str) -> str:
    if package == "fastsvc":
        from fastsvc.version import VERSION

        return VERSION
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
