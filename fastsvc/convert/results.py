"""Existing results: which are finished, which are replaced, which block a new file; and the entry of a new result."""

from __future__ import annotations

import os
from pathlib import Path

from fastsvc.audio import io
from fastsvc.audio.encode import MOST_SECONDS, check_channels, check_length
from fastsvc.convert.index import Index, Result, Stamp
from fastsvc.convert.names import fitted
from fastsvc.convert.plan import ConversionPlan, Job
from fastsvc.convert.report import FAILED, SKIPPED, Entry
from fastsvc.convert.request_hash import request_hash
from fastsvc.errors import AudioError, FastsvcError, OutputError
from fastsvc.files import IN_WORK, clear_leftovers
from fastsvc.files.renaming import replace

_LONG = 1 << 26  # bytes: the length of shorter files is checked when they are read, not before
REMEDY = "replace it with --overwrite, or choose another folder with -o"


class Results:
    """The results of one plan and one request. Raises OutputError where the list of results cannot be kept.

    ``index``: the lists of the output folder, which several runs of this process may share. ``clear``: remove leftovers
    of dead processes from the folders of results.
    """

    def __init__(self, engine, plan: ConversionPlan, settings, index: Index | None = None, clear: bool = True):
        self.plan, self.settings = plan, settings
        self.engine, self.voice = Path(engine.path).name, settings.voice
        self.requests = {kind: request_hash(engine, settings, kind) for kind in {job.format for job in plan.jobs}}
        self.index = index or Index(plan.folder)
        for path in (self.index.path, plan.folder / IN_WORK):  # files that a run writes for itself
            if plan.sources.hold(path):
                raise OutputError(f"{path} is an input, and a list of fastsvc's own", "choose another folder with -o")
        self.index.check()
        self.before: dict[Path, Stamp | None] = {}  # stamps of targets before the conversion
        self.sources: dict[Path, Stamp | None] = {}
        self.folders: set[Path] = set()  # folders that exist or can be created
        self.aside: set[Path] = set()  # targets whose present content will be kept under another name
        for folder in {plan.folder, *(job.target.parent for job in plan.jobs)} if clear else ():
            clear_leftovers(folder)

    def settled(self, job: Job) -> Entry | None:
        """The entry of a recording that need not or cannot be converted; None for the others."""
        entry = Entry(str(job.source), str(job.target), FAILED, speaker=self.voice)
        self.sources[job.source] = self.source_stamp(job)
        try:
            self._check_folder(job.target.parent)
            self.before[job.target] = _stamp(job.target)
            if not self.settings.overwrite and self._done(job):
                entry.status, entry.reason = SKIPPED, "its result exists"
                return entry
            self._check_fits(job)
        except FastsvcError as error:
            entry.reason = str(error)
            return entry
        return None

    def _done(self, job: Job) -> bool:
        """Whether the result exists. Raises OutputError for another file that somebody may need."""
        target, now = job.target, self.before[job.target]
        if now is None:
            if target.is_symlink():
                raise OutputError(f"{target} exists, as a link that leads nowhere", REMEDY)
            return False
        if not target.is_file():
            raise OutputError(f"{target} exists and is not a file", "choose another folder with -o")
        if self.sources[job.source] is None or now.size == 0:
            return False
        listed = self.index.listed.get(self._name(job), [])
        as_written = [result for result in listed if now.like(result.stamp)]
        if any(self._same(job, result) for result in as_written):
            return True
        if as_written:
            raise OutputError(f"{target} exists, {self._difference(job, as_written[-1])}", REMEDY)
        same_request = any(self._same(job, result) for result in listed)
        if _readable(target, whole=same_request):
            since = "and was changed since it was made" if listed else "and was not made by this command"
            raise OutputError(f"{target} exists, {since}", REMEDY)
        if not same_request:
            self.aside.add(target)
        return False

    def _same(self, job: Job, result: Result) -> bool:
        source = self.sources[job.source]
        return (
            result.request == self.requests[job.format]
            and result.source == self.source_name(job)
            and source is not None
            and source.like(result.source_stamp)
        )

    def _difference(self, job: Job, result: Result) -> str:
        asked = self.source_name(job), self.requests[job.format], self.voice, self.engine
        return difference(result, *asked) or f"made of {job.source} when its size or date was another"

    def _check_folder(self, folder: Path) -> None:
        while folder not in self.folders and folder != self.plan.folder:
            if os.path.lexists(folder) and not folder.is_dir():
                raise OutputError(f"{folder} exists and is not a folder", "choose another folder with -o")
            self.folders.add(folder)
            folder = folder.parent

    def _check_fits(self, job: Job) -> None:
        """Raises OutputError if the result's format cannot carry it, as far as the source's header shows."""
        source, limited = self.sources[job.source], job.format in MOST_SECONDS
        if self.settings.keep_channels or (limited and source is not None and source.size > _LONG):
            try:
                info = io.probe(job.source)
            except AudioError:
                return  # reading it will report the reason
            check_channels(job.format, info.channels if self.settings.keep_channels else 1)
            check_length(job.format, info.samples, info.rate_hz)

    def approve(self, job: Job, written: os.stat_result, notes: list[str]) -> None:
        """List the finished file for ``job`` before it gets its name. Raises OutputError if it may not get the name.

        The list stays true: if the file does not get its name, no file of that name has its size and time.
        """
        target = job.target
        if self.plan.sources.hold(target):
            raise OutputError(f"{target} is an input, which is never replaced", "choose another folder with -o")
        now = _stamp(target)
        if now != self.before.get(target) and not self.settings.overwrite:
            raise OutputError(f"{target} appeared or changed meanwhile", "see whose it is, and run this again")
        source = self.sources[job.source] or Stamp(0, 0)
        self.index.add(
            Result(
                self._name(job),
                written.st_size,
                written.st_mtime_ns,
                self.source_name(job),
                source.size,
                source.mtime_ns,
                self.requests[job.format],
                self.voice,
                self.engine,
            )
        )
        if target in self.aside:
            notes.append(f"an earlier result could not be read, and is kept as {_moved_aside(target).name}")

    def is_new(self, job: Job) -> bool:
        """Whether the target's name must be free when the file gets it."""
        target = job.target
        return not self.settings.overwrite and (self.before.get(target) is None or target in self.aside)

    def _name(self, job: Job) -> str:
        return job.target.relative_to(self.plan.folder).as_posix()

    def source_stamp(self, job: Job) -> Stamp | None:
        """The state of the source now; None where it is missing."""
        return _stamp(job.source)

    def source_name(self, job: Job) -> str:
        """The source relative to the output folder, so that both may be moved together."""
        real = os.path.realpath(job.source)
        try:
            return Path(os.path.relpath(real, os.path.realpath(self.plan.folder))).as_posix()
        except ValueError:  # another drive
            return Path(real).as_posix()


def difference(result: Result, source: str, request: str, voice: str, engine: str) -> str:
    """What a listed result was made of or with, in words, where it is not what is asked for; else nothing."""
    if result.source != source:
        return f"made of another recording: {_shown(result.source)}"
    if result.request == request:
        return ""
    if result.voice != voice:
        return f"made with another voice: {_shown(result.voice)}"
    if result.engine != engine:
        return f"made with another engine: {_shown(result.engine)}"
    return "made with other options, or with an older or newer engine of this name"


def _stamp(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path.stat())
    except OSError:
        return None


def _readable(path: Path, whole: bool) -> bool:
    """Whether ``path`` may hold audio that somebody needs; ``whole``: only if it can be read to its end."""
    if not os.access(path, os.R_OK):
        return True
    try:
        io.read(path, mono=True) if whole else io.probe(path)
    except io.TooLong:
        return True
    except AudioError:
        return False
    return True


def _moved_aside(path: Path) -> Path:
    """Rename ``path``; returns its new name, which was free and which no search takes for a recording."""
    number = 1
    while True:
        name = f"{path.name}.unreadable" + (f"-{number}" if number > 1 else "")
        free = path.with_name(fitted(name))
        try:
            os.close(os.open(free, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # so that no other process takes the name
            break
        except FileExistsError:
            number += 1
    replace(path, free)
    return free


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
