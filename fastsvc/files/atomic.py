"""Writing one file so that it appears complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastsvc.errors import OutputError
from fastsvc.files import renaming
from fastsvc.files.leftovers import forget, temporary_name

REMEDY = "choose another place, or check who may write there"
_FLAGS = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_RUST = re.compile(r"\(os error (\d+)\)")  # how safetensors reports an error of the system


@contextlib.contextmanager
def writing(
    path: str | os.PathLike, *, permissions: int | None = None, new: bool = False, remedy: str = REMEDY
) -> Iterator[BinaryIO]:
    """A binary file, open for writing and reading, that becomes ``path`` at the end of the block.

    Missing folders are made. An exception of any kind leaves ``path`` as it was. Errors of the system (a full disk, no
    permission) become an OutputError, also where a library reports them as something else. ``permissions``: of the new
    file; default: the user's umask. ``new``: a file that appeared at ``path`` meanwhile is kept, with an OutputError.
    """
    path = Path(path)
    with as_output_error(path, remedy) as system_errors:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(temporary_name())
        try:
            initial = 0o666 if permissions is None else 0o600  # never wider than ``permissions``, not even for a moment
            file = _Watched(os.fdopen(os.open(temporary, os.O_RDWR | _FLAGS, initial), "w+b", 1 << 20), system_errors)
            try:
                yield file
                file.flush()
                if permissions is not None:
                    os.chmod(temporary, permissions)
                os.fsync(file.fileno())
            finally:
                with contextlib.suppress(OSError):  # the flush has raised it already
                    file.close()
            _rename(temporary, path, new)
        finally:
            _unlink(temporary)


def write_bytes(path: str | os.PathLike, content: bytes, *, permissions: int | None = None) -> None:
    """Raises OutputError, as :func:`writing`."""
    with writing(path, permissions=permissions) as file:
        file.write(content)


def write_text(path: str | os.PathLike, text: str, *, remedy: str = REMEDY) -> None:
    """UTF-8; bytes of file names that are not valid text are written unchanged. Raises OutputError."""
    with writing(path, remedy=remedy) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def write_json(path: str | os.PathLike, data, *, indent: int | None = 1, remedy: str = REMEDY) -> None:
    """Raises OutputError; TypeError or ValueError where ``data`` has no form in JSON, before a file is opened."""
    text = json.dumps(data, indent=indent, ensure_ascii=False) + "\n"
    with writing(path, remedy=remedy) as file:
        file.write(text.encode("utf-8", "backslashreplace"))  # a lone surrogate becomes JSON's own \\udc80


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk. Raises OSError for files."""
    if path.is_dir():
        if os.name == "nt":
            return
        with contextlib.suppress(OSError):  # some file systems cannot
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        return
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def reason(error: OSError) -> str:
    """Why a file could not be written, in plain words."""
    reasons = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
    reasons |= {errno.EACCES: "no permission", errno.EPERM: "no permission", errno.EROFS: "the disk is read-only"}
    reasons |= {errno.EISDIR: "a folder of that name exists", errno.ENOTDIR: "a part of its path is a file"}
    reasons |= {errno.EEXIST: "a part of its path is a file", errno.ENAMETOOLONG: "the name is too long"}
    reasons |= {errno.EFBIG: "the file would be larger than the system allows"}
    if renaming.WINDOWS:
        reasons[errno.EACCES] = "no permission, or another program has it open"
    return reasons.get(error.errno, error.strerror or str(error))


def system_error(error: BaseException) -> OSError | None:
    """The system's error that a library's exception stands for, or None."""
    if isinstance(error, OSError):
        return error
    match = _RUST.search(str(error)) if type(error).__name__ == "SafetensorError" else None
    return OSError(int(match[1]), os.strerror(int(match[1]))) if match else None


@contextlib.contextmanager
def as_output_error(path: Path, remedy: str) -> Iterator[list[OSError]]:
    """Raise the system's errors as OutputError. The list collects errors that a library may replace by its own."""
    system_errors: list[OSError] = []
    try:
        yield system_errors
    except OutputError:
        raise
    except Exception as error:
        first = system_errors[0] if system_errors else system_error(error)
        if first is None:
            raise
        full = first.errno in (errno.ENOSPC, errno.EDQUOT)
        raise OutputError(
            f"{path}: cannot be written: {reason(first)}", "free space, then run the command again" if full else remedy
        ) from None


class _Watched:
    """A file that records the system's errors: PyTorch and others raise their own instead."""

    def __init__(self, file: BinaryIO, system_errors: list[OSError]):
        self._file, self._system_errors = file, system_errors

    def write(self, data) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self._system_errors.append(error)
            raise

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            self._system_errors.append(error)
            raise

    def __getattr__(self, name: str):
        return getattr(self._file, name)


def _rename(temporary: Path, path: Path, new: bool = False) -> None:
    if not (new and _link(temporary, path)):
        renaming.replace(temporary, path)
    sync(path.parent)


def _link(temporary: Path, path: Path) -> bool:
    """Give the file a second name that must be free; False where the file system has no hard links.

    Raises OutputError where the name exists: unlike a check before a rename, this leaves no moment in between.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise OutputError(f"{path} appeared meanwhile", "see whose it is, and run this again") from None
    except (OSError, AttributeError, NotImplementedError):
        return False
    return True


def _unlink(temporary: Path) -> None:
    with contextlib.suppress(OSError):  # renamed, or never made
        temporary.unlink()
    forget(temporary.name)
