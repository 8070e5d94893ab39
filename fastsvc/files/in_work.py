"""A list of the files in work, so that after a killed run the next one processes them last, and each alone.

The system kills a process that runs out of memory without a message. The file it was working on would end the next run
at the same point, and the files after it would never be reached.
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
from fastsvc.files.atomic import write_text
from fastsvc.files.leftovers import IN_WORK, is_running, process_name

Item = TypeVar("Item")
SUSPECTED = (
    "was being processed when an earlier run was killed, perhaps for lack of memory: it is processed last, and alone"
)
LINE_BYTES, FILE_BYTES = 2**16, 2**28  # bytes beyond are not read: anybody may have written the file


class InWork:
    """A list in a hidden file of ``folder`` while files are in work; None: no list. ``name``: of that file, as runs
    that share a folder need one each.

    The first file in work makes a missing folder; :meth:`close` removes it if nothing else is in it. Errors while
    writing or reading the list are ignored: only the order depends on it.
    """

    def __init__(self, folder: str | os.PathLike | None, name: str = IN_WORK):
        self._list_path = None if folder is None else Path(folder) / name
        self._lock = threading.Lock()
        self._active: list[str] = []
        self._lines: BinaryIO | None = None
        self._made: list[Path] = []  # folders that the list is the reason for, the innermost first
        self._kill_counts: dict[str, int] = _read_list(self._list_path)  # by path: the number of killed runs

    def kills(self, path: str | os.PathLike) -> int:
        """The number of killed runs in which this file was in work."""
        return self._kill_counts.get(_key(path), 0)

    def ordered(
        self, items: Iterable[Item], path: Callable[[Item], str | os.PathLike]
    ) -> tuple[list[Item], list[Item]]:
        """(items to process first, items to process last and each alone, the least suspicious first).

        The counts of other files are dropped.
        """
        items = list(items)
        paths = {_key(path(item)) for item in items}
        self._kill_counts = {name: count for name, count in self._kill_counts.items() if name in paths}
        order = {name: i for i, name in enumerate(self._kill_counts)}  # a file that began later was only being read

        def suspicion(item: Item) -> tuple[int, int]:
            return self.kills(path(item)), -order[_key(path(item))]

        last = sorted((item for item in items if self.kills(path(item))), key=suspicion)
        return [item for item in items if not self.kills(path(item))], last

    def begin(self, path: str | os.PathLike) -> None:
        """Note that this file is in work from now on."""
        with self._lock:
            if _key(path) not in self._active:
                self._active.append(_key(path))
                self._append("begin", _key(path))

    def end(self, path: str | os.PathLike) -> None:
        """Note that this file is finished, successfully or not."""
        with self._lock:
            if _key(path) in self._active:
                self._active.remove(_key(path))
                self._kill_counts.pop(_key(path), None)
                self._append("end", _key(path))

    def close(self) -> None:
        """End a run that was not killed: only suspicious files that it did not reach stay in the list."""
        with self._lock:
            self._active = []
            if self._lines is not None:
                self._lines.close()
                self._lines = None
            if self._list_path is None:
                return
            with contextlib.suppress(OutputError, OSError):
                if self._kill_counts:
                    self._write_head()
                elif self._list_path.exists():
                    self._list_path.unlink()
                for folder in self._made:
                    folder.rmdir()  # raises where something is in it

    def _write_head(self) -> None:
        write_text(self._list_path, _line("killed", self._kill_counts) + _line("process", process_name()))

    def _append(self, event: str, path: str) -> None:
        """Append a line. It is not forced to the disk: it outlives the process, which suffices."""
        if self._list_path is None:
            return
        with contextlib.suppress(OutputError, OSError):
            if self._lines is None:
                self._made = self._made or [p for p in self._list_path.parents if not os.path.lexists(p)]
                self._write_head()
                self._lines = open(self._list_path, "ab", buffering=0)  # noqa: SIM115 - until close
            self._lines.write(_line(event, path).encode("utf-8", "surrogateescape"))


def _line(event: str, content) -> str:
    return json.dumps({event: content}, ensure_ascii=False) + "\n"


def _key(path: str | os.PathLike) -> str:
    return os.path.abspath(path)


def _lines(list_path: Path | None) -> Iterator[bytes]:
    """The lines of the list. Raises OutputError where it is missing or cannot be read; OSError."""
    if list_path is None:
        return
    with reading.open_file(list_path, OutputError) as file:
        while file.tell() < FILE_BYTES and (line := file.readline(LINE_BYTES)):
            yield line


def _read_list(list_path: Path | None) -> dict[str, int]:
    """The counts of an earlier run; files in work at its end count once more, unless that run is still going."""
    kill_counts, active, process = {}, [], None
    try:
        for line in _lines(list_path):
            [(event, content)] = json.loads(line.decode("utf-8", "surrogateescape")).items()
            if event == "killed":
                kill_counts = {str(path): int(count) for path, count in content.items() if 0 < count < 1 << 20}
            elif event == "process":
                process = content
            elif event == "begin":
                active.append(str(content))
            elif content in active:
                active.remove(content)
                kill_counts.pop(content, None)
    except (OutputError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # no list; or up to a line that was not finished
    for path in active if not is_running(process) else ():
        kill_counts[path] = kill_counts.get(path, 0) + 1
    return kill_counts
