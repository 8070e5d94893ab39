"""One file, whole or not at all."""

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
from fastsvc.files.leftovers import forget, temporary_name

REMEDY = "choose another place, or check who may write there"
_FLAGS = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_RUST = re.compile(r"\(os error (\d+)\)")  # how safetensors reports an error of the system


@contextlib.contextmanager
def writing(
    path: str | os.PathLike, *, permissions: int | None = None, new: bool = False, remedy: str = REMEDY
) -> Iterator[BinaryIO]:
    """A binary file, open for writing and reading, that becomes ``path`` at the end of the block.

    Missing folders are made. Leaving the block by an exception, of whatever kind, leaves ``path`` as it was. What the
    system refuses (a full disk, no permission) is an OutputError, also where a library reports it as something else.
    ``permissions``: of the new file; else as the user's umask says. ``new``: what has got the name meanwhile keeps it.
    """
    path = Path(path)
    with refused(path, remedy) as seen:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(temporary_name())
        try:
            first = 0o666 if permissions is None else 0o600  # never wider than asked for, not for a moment
            file = _Watched(os.fdopen(os.open(temporary, os.O_RDWR | _FLAGS, first), "w+b", 1 << 20), seen)
            try:
                yield file
                file.flush()
                if permissions is not None:
                    os.chmod(temporary, permissions)
                os.fsync(file.fileno())
            finally:
                with contextlib.suppress(OSError):  # said already by the flush
                    file.close()
            _into_place(temporary, path, new)
        finally:
            _unlink(temporary)


def write_bytes(path: str | os.PathLike, content: bytes, *, permissions: int | None = None) -> None:
    """Raises OutputError, as :func:`writing`."""
    with writing(path, permissions=permissions) as file:
        file.write(content)


def write_text(path: str | os.PathLike, text: str, *, remedy: str = REMEDY) -> None:
    """UTF-8; what is no valid text in names of files stays as it is. Raises OutputError."""
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
    known = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
    known |= {errno.EACCES: "no permission", errno.EPERM: "no permission", errno.EROFS: "the disk is read-only"}
    known |= {errno.EISDIR: "a folder of that name exists", errno.ENOTDIR: "a part of its path is a file"}
    known |= {errno.EEXIST: "a part of its path is a file", errno.ENAMETOOLONG: "the name is too long"}
    known |= {errno.EFBIG: "the file would be larger than the system allows"}
    return known.get(error.errno, error.strerror or str(error))


def system_error(error: BaseException) -> OSError | None:
    """The system's error that a library's exception stands for, or None."""
    if isinstance(error, OSError):
        return error
    found = _RUST.search(str(error)) if type(error).__name__ == "SafetensorError" else None
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else None


@contextlib.contextmanager
def refused(path: Path, remedy: str) -> Iterator[list[OSError]]:
    """The system's errors as OutputError; the list gets those that a library may turn into others of its own."""
    seen: list[OSError] = []
    try:
        yield seen
    except OutputError:
        raise
    except Exception as error:
        first = seen[0] if seen else system_error(error)
        if first is None:
            raise
        full = first.errno in (errno.ENOSPC, errno.EDQUOT)
        raise OutputError(
            f"{path}: cannot be written: {reason(first)}", "free space, then run the command again" if full else remedy
        ) from None


class _Watched:
    """A file that remembers the first error of the system: PyTorch and others report their own in its stead."""

    def __init__(self, file: BinaryIO, seen: list[OSError]):
        self._file, self._seen = file, seen

    def write(self, data) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self._seen.append(error)
            raise

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            self._seen.append(error)
            raise

    def __getattr__(self, name: str):
        return getattr(self._file, name)


def _into_place(temporary: Path, path: Path, new: bool = False) -> None:
    if not (new and _named(temporary, path)):
        os.replace(temporary, path)
    sync(path.parent)


def _named(temporary: Path, path: Path) -> bool:
    """A free name for the file, beside its temporary one; False where the file system has no second names.

    Raises OutputError where the name is taken: unlike a look before a rename, this leaves no moment in between.
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
