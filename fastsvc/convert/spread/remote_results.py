"""Results in an object store: which are finished, which block a new one; and putting a new one."""

from __future__ import annotations

import functools
import hashlib
import secrets
import threading
from pathlib import Path, PurePosixPath

from fastsvc.convert.index import LISTS, Result, by_name, line_of
from fastsvc.convert.report import FAILED, SKIPPED, Entry
from fastsvc.convert.results import REMEDY, difference
from fastsvc.convert.spread.task import SpreadJob
from fastsvc.errors import FastsvcError, OutputError
from fastsvc.files import process_name
from fastsvc.remote import Folder, Item

LINES = 128  # of one list, which is put anew with every line


class RemoteLists:
    """The lists of one output folder by URL: one object for some lines, as nothing can be appended to an object."""

    def __init__(self, folder: Folder):
        self.folder = folder
        self._lock = threading.Lock()
        self._name, self._lines = "", []

    @functools.cached_property
    def items(self) -> dict[str, Item]:
        """All objects of the folder by name, when this was first asked for."""
        return {item.name: item for item in self.folder.items()}

    @functools.cached_property
    def listed(self) -> dict[str, list[Result]]:
        """The results by name, when this was first asked for."""
        return self.read(self.items)

    def read(self, names=None) -> dict[str, list[Result]]:
        names = [item.name for item in self.folder.items(LISTS)] if names is None else names
        lists = sorted(name for name in names if name.startswith(f"{LISTS}/") and name.endswith(".jsonl"))
        contents = self.folder.read(lists)
        return by_name(line for name in lists if name in contents for line in contents[name].splitlines())

    def add(self, result: Result) -> None:
        """Put the list with one more line; it is there when this returns. Raises OutputError."""
        with self._lock:
            if not self._name or len(self._lines) >= LINES:
                self._name, self._lines = f"{LISTS}/{process_name()}-{secrets.token_hex(6)}.jsonl", []
            self._lines.append(line_of(result))
            self.folder.write(self._name, b"".join(self._lines))


class RemoteResults:
    """The results of one request. ``request``: format → hash of all options (request_hash.py)."""

    def __init__(self, lists: RemoteLists, request: dict[str, str], voice: str, engine: str, overwrite: bool):
        self.lists, self.request, self.voice, self.engine = lists, request, voice, engine
        self.overwrite = overwrite

    def settled(self, job: SpreadJob, source: tuple[str, int, int] | None) -> Entry | None:
        """The entry of a recording that need not or cannot be converted; None for the others.

        ``source``: (name, size, version) of the recording; None where it is missing, which converting it will say.
        """
        entry = Entry(job.source, job.target, FAILED, speaker=self.voice)
        item = self.lists.items.get(job.name)
        if item is None or not item.size or self.overwrite or source is None:
            return None
        try:
            self._check(job, item, source, self.lists.listed.get(job.name, []))
        except FastsvcError as error:
            entry.reason = str(error)
            return entry
        entry.status, entry.reason = SKIPPED, "its result exists"
        return entry

    def _check(self, job: SpreadJob, item: Item, source: tuple[str, int, int], listed: list[Result]) -> None:
        """Raises OutputError where the object is not the result that is asked for."""
        as_written = [
            result
            for result in listed
            if result.size == item.size and (not (result.md5 and item.md5) or result.md5 == item.md5)
        ]
        if any(self._same(result, job, source) for result in as_written):
            return
        if as_written:
            asked = source[0], self.request[job.format], self.voice, self.engine
            why = difference(as_written[-1], *asked) or f"made of {job.source} when its content or date was another"
        else:
            why = "and was changed since it was made" if listed else "and was not made by this command"
        raise OutputError(f"{job.target} exists, {why}", REMEDY)

    def _same(self, result: Result, job: SpreadJob, source: tuple[str, int, int]) -> bool:
        return result.request == self.request[job.format] and source == (
            result.source,
            result.source_size,
            result.source_mtime_ns,
        )

    def publish(self, job: SpreadJob, source: tuple[str, int, int], local: Path) -> None:
        """Put the finished file. Its line is listed before, so that no result is there without one.

        A result of an earlier attempt of this very request stays. Raises OutputError.
        """
        item = self.lists.folder.item(job.name)
        if item is not None and item.size and not self.overwrite:
            self._check(job, item, source, self.lists.read().get(job.name, []))
            return
        content = local.read_bytes()
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        request = self.request[job.format]
        self.lists.add(
            Result(job.name, len(content), 0, *source, request, self.voice, self.engine, digest),
        )
        self.lists.folder.write(job.name, content, new=item is None and not self.overwrite)


def engine_name(path) -> str:
    """An engine's name in lists, for people."""
    return PurePosixPath(str(path).replace("\\", "/")).name
