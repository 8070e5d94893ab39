"""Who caused an error: the user or the machine (one line with a remedy), or fastsvc itself (a line that says so).

Every error that nobody foresaw is a fault of fastsvc. It is never reported as a bad file or a bad setting: its line
names the exception and the line of code, and a file keeps versions, command and traceback for a bug report.
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
SECRET = "--token"
PACKAGES = ("fastsvc", "torch", "numpy", "triton", "soundfile", "click")

_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, NotImplementedError, TypeError)
_SIZE = re.compile(r"allocate\s*:?\s*([\d.]+ ?(?:[kKMGTPE]i?B|bytes))")
_MEMORY = ("can't allocate memory", "not enough memory", "CUDA out of memory", "HIP out of memory")
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PERMISSION_ERRORS = {errno.EACCES, errno.EPERM, errno.EROFS}
_PATH_ERRORS = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENOTEMPTY, errno.EXDEV}
_SYSTEM_ERRORS = {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.EBUSY, errno.ENODEV, errno.ENXIO}
_PACKAGE = Path(__file__).resolve().parent


def user_error(error: BaseException) -> FastsvcError | None:
    """The error as a typed one: ours already, or from memory, disk, permissions, missing packages.

    None: nobody foresaw it, so it is a fault of fastsvc.
    """
    if isinstance(error, FastsvcError):
        return error
    if _is_memory(error):
        size = _SIZE.search(str(error))
        message = f"memory is too small: {size[1]} more were asked for" if size else "memory is too small"
        of = " of the GPU" if "CUDA" in str(error) else ""
        message = message.replace("memory", f"memory{of}", 1)
        return ResourceError(
            message, "convert or train less at a time: shorter recordings, --batch 1, a smaller batch.size"
        )
    if isinstance(error, BrokenProcessPool):
        return ResourceError(
            "a worker process was killed, probably for lack of memory", "use fewer processes: --jobs 1"
        )
    if isinstance(error, ImportError):
        return _missing(error)
    return _system(error) if isinstance(error, OSError) else None


def line(error: BaseException) -> str:
    """The error in one line: a user's as it stands, a fault of fastsvc after :data:`TITLE` and with its location."""
    typed = user_error(error)
    return str(typed) if typed is not None else f"{TITLE}: {name_and_text(error)}{_location(error)}"


def is_bug(error: BaseException) -> bool:
    """Whether the error is a mistake in Python code, not a library's report about a device.

    Libraries' exceptions have no common base, and a driver, a compiler and a bug all raise RuntimeError, which does
    not count as a mistake.
    """
    return isinstance(error, _BUGS) and user_error(error) is None


def reason(error: BaseException) -> str:
    """Why something optional does not run: :func:`line` for a mistake of ours, else the library's own text."""
    typed = user_error(error)
    if typed is not None or is_bug(error):
        return line(error)
    return " ".join(str(error).split())[:300] or type(error).__name__


def name_and_text(error: BaseException) -> str:
    """The exception's class and its text, in one line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def details(error: BaseException) -> str:
    """The text of a fault's report: versions, machine, command, traceback."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    command = shlex.join([Path(sys.argv[0]).name, *_without_secrets(sys.argv[1:])]) if sys.argv else "?"
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return f"{TITLE}\ncommand: {command}\nversions: {versions}\nsystem: {system}\n\n{trace}"


def _without_secrets(arguments: list[str]) -> list[str]:
    """The arguments of a command; reports are shown to others, and the token of `fastsvc serve` is not for them."""
    shown = [argument if not argument.startswith(f"{SECRET}=") else f"{SECRET}=…" for argument in arguments]
    return ["…" if i and shown[i - 1] == SECRET else argument for i, argument in enumerate(shown)]


def save_report(text: str) -> str:
    """Write :func:`details` to a file; return the remedy that names the file."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="fastsvc-fault-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        return "please report it with what the same command prints with -v"
    return f"please report it with {file.name}, which has versions, command and traceback"


def line_with_report(error: BaseException) -> str:
    """:func:`line`; for a fault of fastsvc also the file with its report, which is written here."""
    return line(error) if user_error(error) is not None else f"{line(error)} ({save_report(details(error))})"


def _is_memory(error: BaseException) -> bool:
    """MemoryError, torch.OutOfMemoryError (without importing torch), or the CPU allocator's RuntimeError."""
    out_of_memory = any(base.__name__ == "OutOfMemoryError" for base in type(error).__mro__)
    return (
        isinstance(error, MemoryError)
        or out_of_memory
        or (isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY))
    )


def _missing(error: ImportError) -> FastsvcError | None:
    """An error for another's package that is missing or cannot be loaded; None for a module of ours."""
    name = (error.name or "").partition(".")[0]
    if not name or name == "fastsvc":
        return None
    if isinstance(error, ModuleNotFoundError):
        return ResourceError(f"the package {name} is not installed", f"install it with: pip install {name}")
    return ResourceError(f"the package {name} cannot be loaded: {error}", f"install it again: pip install {name}")


def _system(error: OSError) -> FastsvcError | None:
    """An error for what the system refused; None where only a mistake of ours, or our missing file, can cause it."""
    path = error.filename if isinstance(error.filename, (str, bytes)) else None
    why = f"{os.fsdecode(path)}: {error.strerror}" if path else str(error.strerror)
    if error.errno in _DISK_ERRORS:
        return ResourceError(why, "free space, then run the command again")
    if error.errno in _PERMISSION_ERRORS:
        return ResourceError(why, "check who may read and write there")
    if error.errno in _SYSTEM_ERRORS or (path and error.errno in _PATH_ERRORS and not _is_ours(path)):
        return ResourceError(why, "check the path")
    return None


def _is_ours(path: str | bytes) -> bool:
    return _PACKAGE in Path(os.fsdecode(path)).resolve().parents


def _location(error: BaseException) -> str:
    """The last location in our own code that the error passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    roots = {_PACKAGE}
    # In a source tree they lie beside fastsvc/.
    if not (_PACKAGE / "kernels").is_dir() or (_PACKAGE / "kernels").is_symlink():
        roots |= {_PACKAGE.parent / name for name in ("kernels", "build", "bench")}
    for frame in reversed(frames):
        path = Path(frame.filename).resolve()
        if roots & set(path.parents):
            return f" at {path.relative_to(_PACKAGE.parent).as_posix()}:{frame.lineno}"
    return ""


def _version(package: str) -> str:
    if package == "fastsvc":
        from fastsvc.version import VERSION

        return VERSION
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
