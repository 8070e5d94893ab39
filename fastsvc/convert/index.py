"""The list of results that an output folder keeps of itself: what was made there, of which recording, by which request.

One JSON object a line, added at the end in one write, so that several processes may add at once. Lines that are cut,
strange or too long are passed over: of what they told nothing is known.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import BinaryIO

from fastsvc.errors import OutputError
from fastsvc.files import reason

INDEX = ".fastsvc-results.jsonl"
LINE_BYTES, FILE_BYTES = 2**16, 2**28  # longer lines are passed over; of a longer file the end is read
_PLAINLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Stamp:
    """Size in bytes and time of the last change of a file: whether it is still as it was."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_size, status.st_mtime_ns)

    def like(self, other: Stamp | None) -> bool:
        """Whether both may be of one state; file systems and archives of whole seconds round by up to two."""
        if other is None or self.size != other.size:
            return False
        coarse = os.name == "nt" or self.mtime_ns % 10**9 == 0 or other.mtime_ns % 10**9 == 0
        return abs(self.mtime_ns - other.mtime_ns) < (2 * 10**9 if coarse else 1)


@dataclass(frozen=True)
class Result:
    """One line. ``name`` is relative to the folder, with slashes, as ``source`` is where it can be.

    ``request`` stands for everything that was asked for; ``voice`` and ``engine`` are for messages alone.
    """

    name: str
    size: int
    mtime_ns: int
    source: str
    source_size: int
    source_mtime_ns: int
    request: str
    voice: str = ""
    engine: str = ""

    @property
    def stamp(self) -> Stamp:
        return Stamp(self.size, self.mtime_ns)

    @property
    def source_stamp(self) -> Stamp:
        return Stamp(self.source_size, self.source_mtime_ns)


_TYPES = {field.name: int if field.type == "int" else str for field in fields(Result)}


class Index:
    """Of one output folder, which need not exist before something is added."""

    def __init__(self, folder: Path):
        self.path = folder / INDEX

    def read(self) -> dict[str, list[Result]]:
        """All results of each name, oldest first."""
        found = defaultdict(list)
        for line in _lines(self.path):
            one = _parsed(line)
            if one is not None:
                found[one.name].append(one)
        return found

    def check(self) -> None:
        """Raises OutputError where nothing could be added."""
        if self.path.is_symlink() or self.path.exists():
            self._write(b"")

    def add(self, one: Result) -> None:
        """At the end of the file, and on the disk when this returns. Raises OutputError."""
        line = json.dumps({key: value for key, value in asdict(one).items() if value != ""}, separators=(",", ":"))
        self._write(line.encode("ascii") + b"\n")

    def _write(self, line: bytes) -> None:
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _PLAINLY, 0o666)
            try:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):
                    raise OutputError(
                        f"{self.path} is not a regular file", "remove that entry, or choose another folder with -o"
                    )
                if status.st_nlink > 1:
                    raise OutputError(
                        f"{self.path} has another name elsewhere (a hard link), and would be changed there, too",
                        "put a copy of it in its place, or choose another folder with -o",
                    )
                if not line:
                    return
                if status.st_size and os.lseek(handle, -1, os.SEEK_END) >= 0 and os.read(handle, 1) != b"\n":
                    line = b"\n" + line  # the last one was cut
                if os.write(handle, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise OutputError(
                f"{self.path}: the list of results cannot be written: {reason(error)}",
                "remove that list, or choose another output folder with -o",
            ) from None


def results_in(folder: Path) -> dict[str, set[int]]:
    """The sizes of the results of each name that the list of ``folder`` tells of; empty where there is none."""
    return {name: {one.size for one in results} for name, results in Index(folder).read().items()}


def _lines(path: Path) -> Iterator[bytes]:
    with contextlib.suppress(OSError), _opened(path) as file:
        if file is None:
            return
        cut = os.fstat(file.fileno()).st_size > FILE_BYTES
        if cut:
            file.seek(-FILE_BYTES, os.SEEK_END)
        while line := file.readline(LINE_BYTES):
            if not cut:
                yield line
            cut = not line.endswith(b"\n")  # what follows is the rest of this one


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | None]:
    """None where it is not a regular file."""
    with os.fdopen(os.open(path, os.O_RDONLY | _PLAINLY), "rb") as file:
        yield file if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def _parsed(line: bytes) -> Result | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    known = {name: data[name] for name in _TYPES if name in data}
    if any(type(value) is not _TYPES[name] for name, value in known.items()):
        return None
    try:
        return Result(**known)
    except TypeError:  # one is missing
        return None
