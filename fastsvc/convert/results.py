"""Results that exist: which are done, which are made again, which are in the way; and how a new one takes its place."""

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

_LONG = 1 << 26  # bytes: shorter files are not asked how long they are, which is found when they are read
_REMEDY = "replace it with --overwrite, or choose another folder with -o"


class Results:
    """Of one plan and one request. Raises OutputError where the list of results cannot be kept."""

    def __init__(self, engine, plan: ConversionPlan, settings):
        self.plan, self.settings = plan, settings
        self.engine, self.voice = Path(engine.path).name, settings.voice
        self.requests = {kind: request_hash(engine, settings, kind) for kind in {job.format for job in plan.jobs}}
        self.index = Index(plan.folder)
        for own in (self.index.path, plan.folder / IN_WORK):  # which a run writes
            if plan.sources.hold(own):
                raise OutputError(f"{own} is an input, and a list of fastsvc's own", "choose another folder with -o")
        self.index.check()
        self.known = self.index.read()
        self.before: dict[Path, Stamp | None] = {}  # of targets, when they were looked at
        self.sources: dict[Path, Stamp | None] = {}
        self.folders: set[Path] = set()  # nothing is in the way of these
        self.aside: set[Path] = set()  # targets whose content is kept under another name
        for folder in {plan.folder, *(job.target.parent for job in plan.jobs)}:
            clear_leftovers(folder)

    def settled(self, job: Job) -> Entry | None:
        """The entry of a recording that need not be, or cannot be, converted; None for the others."""
        entry = Entry(str(job.source), str(job.target), FAILED, speaker=self.voice)
        self.sources[job.source] = _stamp(job.source)
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
        """Raises OutputError where what is there is neither that result nor worth nothing."""
        target, now = job.target, self.before[job.target]
        if now is None:
            if target.is_symlink():
                raise OutputError(f"{target} exists, as a link that leads nowhere", _REMEDY)
            return False
        if not target.is_file():
            raise OutputError(f"{target} exists and is not a file", "choose another folder with -o")
        if self.sources[job.source] is None or now.size == 0:
            return False
        listed = self.known.get(self._name(job), [])
        as_written = [one for one in listed if now.like(one.stamp)]
        if any(self._same(job, one) for one in as_written):
            return True
        if as_written:
            raise OutputError(f"{target} exists, {self._difference(job, as_written[-1])}", _REMEDY)
        ours = any(self._same(job, one) for one in listed)
        if _readable(target, whole=ours):
            since = "and was changed since it was made" if listed else "and was not made by this command"
            raise OutputError(f"{target} exists, {since}", _REMEDY)
        if not ours:
            self.aside.add(target)
        return False

    def _same(self, job: Job, one: Result) -> bool:
        source = self.sources[job.source]
        return (
            one.request == self.requests[job.format]
            and one.source == self._source(job)
            and source is not None
            and source.like(one.source_stamp)
        )

    def _difference(self, job: Job, one: Result) -> str:
        if one.source != self._source(job):
            return f"made of another recording: {_shown(one.source)}"
        if one.request != self.requests[job.format]:
            if one.voice != self.voice:
                return f"made with another voice: {_shown(one.voice)}"
            if one.engine != self.engine:
                return f"made with another engine: {_shown(one.engine)}"
            return "made with other options, or with an older or newer engine of this name"
        return f"made of {job.source} when its size or date was another"

    def _check_folder(self, folder: Path) -> None:
        while folder not in self.folders and folder != self.plan.folder:
            if os.path.lexists(folder) and not folder.is_dir():
                raise OutputError(f"{folder} exists and is not a folder", "choose another folder with -o")
            self.folders.add(folder)
            folder = folder.parent

    def _check_fits(self, job: Job) -> None:
        """Whether the result's format can carry it, as far as the source's header tells. Raises OutputError."""
        source, limited = self.sources[job.source], job.format in MOST_SECONDS
        if self.settings.keep_channels or (limited and source is not None and source.size > _LONG):
            try:
                info = io.probe(job.source)
            except AudioError:
                return  # reading it will say why
            check_channels(job.format, info.channels if self.settings.keep_channels else 1)
            check_length(job.format, info.samples, info.rate_hz)

    def approve(self, job: Job, written: os.stat_result, notes: list[str]) -> None:
        """Called when the file for ``job`` is whole, before it gets its name. Raises OutputError if it may not.

        What is listed is then certain to be true: if the file does not get its name, no file there is like it.
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
                self._source(job),
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
        """Whether nothing may have the name of its target when the file gets it."""
        target = job.target
        return not self.settings.overwrite and (self.before.get(target) is None or target in self.aside)

    def _name(self, job: Job) -> str:
        return job.target.relative_to(self.plan.folder).as_posix()

    def _source(self, job: Job) -> str:
        """Relative to the output folder, so that both may be moved together."""
        real = os.path.realpath(job.source)
        try:
            return Path(os.path.relpath(real, os.path.realpath(self.plan.folder))).as_posix()
        except ValueError:  # another drive
            return Path(real).as_posix()


def _stamp(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path.stat())
    except OSError:
        return None


def _readable(path: Path, whole: bool) -> bool:
    """Whether somebody may miss what is in ``path``; ``whole``: only if it can be read to its end."""
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
    """Its new name: a free one, which no search takes for a recording."""
    number = 1
    while True:
        name = f"{path.name}.unreadable" + (f"-{number}" if number > 1 else "")
        free = path.with_name(fitted(name))
        try:
            os.close(os.open(free, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # nobody else takes it
            break
        except FileExistsError:
            number += 1
    os.replace(path, free)
    return free


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
