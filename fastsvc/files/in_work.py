"""Which files were in work when a run was killed, so that the next run takes them last, and each alone.

A process that runs out of memory is ended by the system without a word. Whatever it was working on would end the next
run at the same place, and what comes after it would never be reached.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from fastsvc import reading
from fastsvc.errors import OutputError
from fastsvc.files.leftovers import IN_WORK, process_name, runs
from fastsvc.files.whole import write_text

Item = TypeVar("Item")
SUSPECTED = (
    "was being processed when an earlier run was killed, perhaps for lack of memory: it is processed last, and alone"
)
LINE_BYTES, FILE_BYTES = 2**16, 2**28  # what lies beyond is not read: anybody may have put the file there


class InWork:
    """Kept in a hidden file of ``folder`` while files are in work; None: not kept at all.

    What cannot be written or read is done without: nothing but the order depends on it.
    """

    def __init__(self, folder: str | os.PathLike | None):
        self._place = None if folder is None else Path(folder) / IN_WORK
        self._lock = threading.Lock()
        self._now: list[str] = []
        self._lines: BinaryIO | None = None
        self._killed: dict[str, int] = _read(self._place)  # by path: in how many runs that were killed

    def times(self, path: str | os.PathLike) -> int:
        """In how many runs that were killed this file was in work."""
        return self._killed.get(_key(path), 0)

    def ordered(self, items: Iterable[Item], path: Callable[[Item], os.PathLike]) -> tuple[list[Item], list[Item]]:
        """(those to begin with, those to take last and each alone: the least suspicious first).

        What is known of other files is forgotten.
        """
        items = list(items)
        here = {_key(path(item)) for item in items}
        self._killed = {name: times for name, times in self._killed.items() if name in here}
        place = {name: i for i, name in enumerate(self._killed)}  # what began later was only being read

        def suspicion(item: Item) -> tuple[int, int]:
            return self.times(path(item)), -place[_key(path(item))]

        last = sorted((item for item in items if self.times(path(item))), key=suspicion)
        return [item for item in items if not self.times(path(item))], last

    def begin(self, path: str | os.PathLike) -> None:
        """This file is in work from now on."""
        with self._lock:
            if _key(path) not in self._now:
                self._now.append(_key(path))
                self._say("begin", _key(path))

    def end(self, path: str | os.PathLike) -> None:
        """It is done, well or not."""
        with self._lock:
            if _key(path) in self._now:
                self._now.remove(_key(path))
                self._killed.pop(_key(path), None)
                self._say("end", _key(path))

    def close(self) -> None:
        """At the end of a run that was not killed: only what was suspicious and not reached stays noted."""
        with self._lock:
            self._now = []
            if self._lines is not None:
                self._lines.close()
                self._lines = None
            if self._place is None:
                return
            with contextlib.suppress(OutputError, OSError):
                if self._killed:
                    self._start()
                elif self._place.exists():
                    self._place.unlink()

    def _start(self) -> None:
        write_text(self._place, _line("killed", self._killed) + _line("process", process_name()))

    def _say(self, what: str, path: str) -> None:
        """One more line, which is not forced to the disk: it outlives the process, and that is enough."""
        if self._place is None:
            return
        with contextlib.suppress(OutputError, OSError):
            if self._lines is None:
                self._start()
                self._lines = open(self._place, "ab", buffering=0)  # noqa: SIM115 - until close
            self._lines.write(_line(what, path).encode("utf-8", "surrogateescape"))


def _line(what: str, content) -> str:
    return json.dumps({what: content}, ensure_ascii=False) + "\n"


def _key(path: str | os.PathLike) -> str:
    return os.path.abspath(path)


def _lines(place: Path | None) -> Iterator[bytes]:
    """Raises OutputError where there is no such file, or none that can be read; OSError."""
    if place is None:
        return
    with reading.opened(place, OutputError) as file:
        while file.tell() < FILE_BYTES and (line := file.readline(LINE_BYTES)):
            yield line


def _read(place: Path | None) -> dict[str, int]:
    """What an earlier run has left: files that were in work then count once more, unless that run still goes on."""
    killed, now, process = {}, [], None
    try:
        for line in _lines(place):
            [(what, content)] = json.loads(line.decode("utf-8", "surrogateescape")).items()
            if what == "killed":
                killed = {str(path): int(times) for path, times in content.items() if 0 < times < 1 << 20}
            elif what == "process":
                process = content
            elif what == "begin":
                now.append(str(content))
            elif content in now:
                now.remove(content)
                killed.pop(content, None)
    except (OutputError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # no list; or up to a line that was not finished
    for path in now if not runs(process) else ():
        killed[path] = killed.get(path, 0) + 1
    return killed
