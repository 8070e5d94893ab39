"""The list of results in an output folder: each file, its recording and its request.

One JSON object a line, appended in one write, so that several processes may add lines at once. Lines that are cut,
invalid or too long are ignored; their results then count as unknown.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import BinaryIO

from fastsvc.errors import OutputError
from fastsvc.files import reason

INDEX = ".fastsvc-results.jsonl"
LISTS = ".fastsvc-results"  # folder of lists that machines or shards write, each its own: network drives mix up appends
LINE_BYTES, FILE_BYTES = 2**16, 2**28  # longer lines are ignored; of a longer file only the end is read
_OPEN_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Stamp:
    """Size in bytes and modification time of a file, to see whether it has changed."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_size, status.st_mtime_ns)

    def like(self, other: Stamp | None) -> bool:
        """Whether both may be of the same state; file systems and archives with whole seconds round by up to two."""
        if other is None or self.size != other.size:
            return False
        coarse = os.name == "nt" or self.mtime_ns % 10**9 == 0 or other.mtime_ns % 10**9 == 0
        return abs(self.mtime_ns - other.mtime_ns) < (2 * 10**9 if coarse else 1)


@dataclass(frozen=True)
class Result:
    """One line of the list. ``name`` is relative to the folder, with slashes; so is ``source``, where possible.

    ``request`` is a hash of all options (request_hash.py); ``voice`` and ``engine`` are for messages alone.
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
    md5: str = ""  # of the content, for object stores, whose dates are not known before the file is there

    @property
    def stamp(self) -> Stamp:
        return Stamp(self.size, self.mtime_ns)

    @property
    def source_stamp(self) -> Stamp:
        return Stamp(self.source_size, self.source_mtime_ns)


_TYPES = {field.name: int if field.type == "int" else str for field in fields(Result)}


class Index:
    """The lists of one output folder; the folder need not exist before a line is added.

    ``writer``: lines are added to a list of this name in :data:`LISTS`, so that machines share no file.
    """

    def __init__(self, folder: Path, writer: str = ""):
        self.folder = folder
        self.path = folder / LISTS / f"{writer}.jsonl" if writer else folder / INDEX

    @functools.cached_property
    def listed(self) -> dict[str, list[Result]]:
        """The results when this was first asked for."""
        return self.read()

    def read(self) -> dict[str, list[Result]]:
        """All results by name, those of each list oldest first."""
        names = []
        with contextlib.suppress(OSError):
            names = sorted(name for name in os.listdir(self.folder / LISTS) if name.endswith(".jsonl"))
        paths = [self.folder / INDEX, *(self.folder / LISTS / name for name in names)]
        return by_name(line for path in paths for line in _lines(path))

    def check(self) -> None:
        """Raises OutputError if no line could be added."""
        if self.path.is_symlink() or self.path.exists():
            self._write(b"")

    def add(self, result: Result) -> None:
        """Append a line; it is on the disk when this returns. Raises OutputError."""
        self._write(line_of(result))

    def _write(self, line: bytes) -> None:
        try:
            if self.path.parent != self.folder:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _OPEN_FLAGS, 0o666)
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
                    line = b"\n" + line  # the last line was cut
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


def line_of(result: Result) -> bytes:
    """A result as a line of a list."""
    line = json.dumps({key: value for key, value in asdict(result).items() if value != ""}, separators=(",", ":"))
    return line.encode("ascii") + b"\n"


def by_name(lines: Iterable[bytes]) -> dict[str, list[Result]]:
    """The results of valid lines by name, in the order of the lines."""
    results = defaultdict(list)
    for result in filter(None, map(_parsed, lines)):
        results[result.name].append(result)
    return results


def results_in(folder: Path) -> dict[str, set[int]]:
    """Name → sizes in bytes of its results, from the list of ``folder``; empty without a list."""
    return {name: {result.size for result in results} for name, results in Index(folder).read().items()}


def _lines(path: Path) -> Iterator[bytes]:
    with contextlib.suppress(OSError), _opened(path) as file:
        if file is None:
            return
        skip = os.fstat(file.fileno()).st_size > FILE_BYTES  # the first piece is the rest of a line
        if skip:
            file.seek(-FILE_BYTES, os.SEEK_END)
        while line := file.readline(LINE_BYTES):
            if not skip:
                yield line
            skip = not line.endswith(b"\n")  # then the next piece is the rest of this line


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | None]:
    """The open file; None if it is not a regular file."""
    with os.fdopen(os.open(path, os.O_RDONLY | _OPEN_FLAGS), "rb") as file:
        yield file if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def _parsed(line: bytes) -> Result | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    values = {name: data[name] for name in _TYPES if name in data}
    if any(type(value) is not _TYPES[name] for name, value in values.items()):
        return None
    try:
        return Result(**values)
    except TypeError:  # a key is missing
        return None
