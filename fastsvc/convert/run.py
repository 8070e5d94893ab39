"""Many recordings through one engine: decoded ahead, sung together where that pays, written behind.

A bad one stops nothing, and takes nothing from its neighbours.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from fastsvc import files
from fastsvc.convert.decode import bytes_needed, decoded
from fastsvc.convert.group import Room, sing
from fastsvc.convert.plan import Job, Plan
from fastsvc.convert.recording import HEARD, Recording, Voice
from fastsvc.convert.report import DONE, FAILED, Entry, Report
from fastsvc.convert.results import Results
from fastsvc.convert.settings import Settings
from fastsvc.errors import OutputError

__all__ = ["DONE", "Progress", "Settings", "check_output_folder", "run", "waiting"]

Progress = Callable[[float], None]  # gets how many recordings are done, in fractions, that were not told of yet
WRITERS = 4


def run(
    engine,
    plan: Plan,
    settings: Settings,
    tell: Callable[[Report, Entry], None] = lambda report, entry: None,
    progress: Progress = lambda recordings: None,
    in_work: files.InWork | None = None,
) -> Report:
    """Convert every job of ``plan``; ``tell(report, entry)`` is called for each in order, ``progress`` meanwhile.

    Where the engine gains by it (``engine.shares_batches``), up to ``settings.batch`` recordings are sung together
    and written while the next are; else each is written before the next begins. The results are the same, to
    rounding. ``in_work`` knows which recordings were in work when an earlier run was killed: those come last and alone.
    Failures, of whatever kind, become entries with a reason and the rest goes on. Ctrl-C ends the run at once:
    what is converted stays, nothing half-written does, and the report says ``interrupted``. Raises OutputError where
    the list of results cannot be kept.
    """
    report = Report(planned=len(plan.jobs) + len(plan.problems))

    def add(entry: Entry) -> None:
        report.entries.append(entry)
        tell(report, entry)

    try:
        for path, reason in plan.problems:
            add(Entry(str(path), "", FAILED, reason))
        results, left = Results(engine, plan, settings), []
        for job in plan.jobs:
            entry = results.settled(job)
            left.append(job) if entry is None else add(entry)
        line = _Line(engine, settings, results, add, progress, in_work or files.InWork(None))
        try:
            line.convert(left)
        finally:
            line.close()
    except KeyboardInterrupt:
        report.interrupted = True
    return report


def waiting(plan: Plan, overwrite: bool) -> list[Job]:
    """The jobs that are certainly to be done: those without a result, or all. Which else, only the engine can tell."""
    return [job for job in plan.jobs if overwrite or not job.target.is_file()]


def check_output_folder(folder: str | os.PathLike) -> None:
    """Make ``folder`` and see that files can be written there. Raises OutputError."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder}: no files can be written there: {files.reason(error)}", "choose another folder with -o"
        ) from None


class _Line:
    """The recordings between reading and their entries. Only the reading and the writing are done by other threads."""

    def __init__(self, engine, settings: Settings, results: Results, add, progress: Progress, in_work: files.InWork):
        self.engine, self.settings, self.results, self.add, self.progress = engine, settings, results, add, progress
        self.in_work = in_work
        self.most = settings.batch if engine.shares_batches else 1
        self.behind = 0 if self.most == 1 else 2 * self.most  # recordings that may wait to be written
        self.pool = ThreadPoolExecutor(1 if self.most == 1 else WRITERS, "write")
        self.untold: deque[Recording] = deque()
        self.room, self.group = Room(self.most), []

    def convert(self, jobs: Sequence[Job]) -> None:
        first, last = self.in_work.ordered(jobs, lambda job: job.source)
        for some in (first, *([job] for job in last)):
            self._convert(some)

    def _convert(self, jobs: Sequence[Job]) -> None:
        needs = partial(bytes_needed, self.engine.config.mel.rate_hz, self.settings.rate_hz)
        for one in decoded(jobs, not self.settings.keep_channels, self.most, needs, self.in_work.begin):
            recording = Recording(one.job, self.settings, self.results)
            self.untold.append(recording)
            for voice in recording.hear(self.engine, one):
                self._report()
                self.group.append(voice)
                if self.room.add(voice.frames):
                    self._sing()
            if not recording.failed and self.room.end():
                self._sing()
            self._tell(self.behind)
        self._sing()
        self._tell(0)

    def _report(self, voices: Sequence[Voice] = (), fraction: float = 0.0) -> None:
        singing = sum((1 - HEARD) / voice.recording.channels for voice in voices)
        self.progress(sum(recording.done for recording in self.untold) + fraction * singing)

    def _sing(self) -> None:
        voices, self.group = self.group, []
        self.room.clear()
        sing(self.engine, voices, self.settings, lambda fraction: self._report(voices, fraction))
        for recording in self.untold:
            if recording.sung and recording.writing is None:
                recording.writing = self.pool.submit(recording.finish, self.engine)
        self._tell(self.behind)

    def _tell(self, behind: int) -> None:
        """Of those at the head of the line that are finished; no more than ``behind`` are left being written."""
        writing = sum(recording.writing is not None for recording in self.untold)
        while self.untold:
            first = self.untold[0]
            if first.writing is None and not first.failed:
                return
            if first.writing is not None and not first.writing.done() and writing <= behind:
                return
            if first.writing is not None:
                first.writing.result()
                writing -= 1
            self.in_work.end(first.job.source)
            self.add(self.untold.popleft().entry)

    def close(self) -> None:
        """After an interruption: what is converted is written, what has failed is told, the rest is given up."""
        try:
            for recording in self.untold:
                if recording.writing is not None:
                    recording.writing.result()
                if recording.writing is not None or recording.failed:
                    self.add(recording.entry)
        finally:
            self.in_work.close()
            self.pool.shutdown(cancel_futures=True)
