"""Many recordings through one engine: decoded ahead, synthesized together where that pays, written in the background.

A recording that fails stops nothing and takes nothing from the others.
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
from fastsvc.convert.group import GroupFill, synthesize
from fastsvc.convert.plan import ConversionPlan, Job
from fastsvc.convert.recording import EXTRACTING, Channel, RecordingConversion
from fastsvc.convert.report import DONE, FAILED, ConversionReport, Entry
from fastsvc.convert.results import Results
from fastsvc.convert.settings import ConversionSettings
from fastsvc.errors import OutputError

__all__ = ["DONE", "ConversionSettings", "Progress", "check_output_folder", "run", "waiting"]

Progress = Callable[[float], None]  # gets the number of recordings done but not reported yet, with fractions
WRITERS = 4


def run(
    engine,
    plan: ConversionPlan,
    settings: ConversionSettings,
    on_entry: Callable[[ConversionReport, Entry], None] = lambda report, entry: None,
    progress: Progress = lambda recordings: None,
    in_work: files.InWork | None = None,
    results: Results | None = None,
) -> ConversionReport:
    """Convert every job of ``plan``; ``on_entry(report, entry)`` is called for each in order, ``progress`` meanwhile.

    Where the engine gains by it (``engine.shares_batches``), up to ``settings.batch`` recordings are synthesized
    together and written while the next ones are; else each is written before the next begins. The results are the
    same, to rounding. ``in_work`` knows which recordings were in work when an earlier run was killed: those come last
    and alone. ``results``: which jobs are done, and who approves new ones; default: those of the plan's output folder.
    A failure of any kind becomes an entry with its reason, and the other recordings go on. Ctrl-C ends the
    run at once: converted files stay, no half-written file does, and the report says ``interrupted``. Raises
    OutputError where the list of results cannot be kept.
    """
    report = ConversionReport(planned=len(plan.jobs) + len(plan.problems))

    def add(entry: Entry) -> None:
        report.entries.append(entry)
        on_entry(report, entry)

    try:
        for path, reason in plan.problems:
            add(Entry(str(path), "", FAILED, reason))
        results, remaining = results or Results(engine, plan, settings), []
        for job in plan.jobs:
            entry = results.settled(job)
            remaining.append(job) if entry is None else add(entry)
        pipeline = _Pipeline(engine, settings, results, add, progress, in_work or files.InWork(None))
        try:
            pipeline.convert(remaining)
        finally:
            pipeline.close()
    except KeyboardInterrupt:
        report.interrupted = True
    return report


def waiting(plan: ConversionPlan, overwrite: bool) -> list[Job]:
    """The jobs that are certainly to be done: all, or those without a result. Only the engine knows which others."""
    return [job for job in plan.jobs if overwrite or not job.target.is_file()]


def check_output_folder(folder: str | os.PathLike) -> None:
    """See that files can be written to ``folder``, or where it would be made: the first file makes it. Raises
    OutputError."""
    try:
        with tempfile.TemporaryFile(dir=_existing(Path(folder))):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder}: no files can be written there: {files.reason(error)}", "choose another folder with -o"
        ) from None


def _existing(folder: Path) -> Path:
    """The nearest folder above ``folder`` that exists, or itself. Raises OSError, as for a file among them."""
    while True:
        try:
            folder.lstat()
            return folder
        except FileNotFoundError:
            if folder == folder.parent:  # a drive, or the current folder, that is gone
                raise
            folder = folder.parent


class _Pipeline:
    """The recordings between reading and their entries. Other threads only read and write."""

    def __init__(
        self, engine, settings: ConversionSettings, results: Results, add, progress: Progress, in_work: files.InWork
    ):
        self.engine, self.settings, self.results, self.add, self.progress = engine, settings, results, add, progress
        self.in_work = in_work
        self.most = settings.batch if engine.shares_batches else 1
        self.may_wait = 0 if self.most == 1 else 2 * self.most  # recordings that may wait to be written
        self.pool = ThreadPoolExecutor(1 if self.most == 1 else WRITERS, "write")
        self.unreported: deque[RecordingConversion] = deque()
        self.fill, self.group = GroupFill(self.most), []

    def convert(self, jobs: Sequence[Job]) -> None:
        first, last = self.in_work.ordered(jobs, lambda job: job.source)
        for some in (first, *([job] for job in last)):
            self._convert(some)

    def _convert(self, jobs: Sequence[Job]) -> None:
        needs = partial(bytes_needed, self.engine.config.mel.rate_hz, self.settings.rate_hz)
        for source in decoded(jobs, not self.settings.keep_channels, self.most, needs, self.in_work.begin):
            recording = RecordingConversion(source.job, self.settings, self.results)
            self.unreported.append(recording)
            for channel in recording.extract(self.engine, source):
                self._report_progress()
                self.group.append(channel)
                if self.fill.add(channel.frames):
                    self._synthesize()
            if not recording.failed and self.fill.end():
                self._synthesize()
            self._report_finished(self.may_wait)
        self._synthesize()
        self._report_finished(0)

    def _report_progress(self, channels: Sequence[Channel] = (), fraction: float = 0.0) -> None:
        in_group = sum((1 - EXTRACTING) / channel.recording.channel_count for channel in channels)
        self.progress(sum(recording.done for recording in self.unreported) + fraction * in_group)

    def _synthesize(self) -> None:
        channels, self.group = self.group, []
        self.fill.clear()
        synthesize(self.engine, channels, self.settings, lambda fraction: self._report_progress(channels, fraction))
        for recording in self.unreported:
            if recording.synthesized and recording.writing is None:
                recording.writing = self.pool.submit(recording.finish, self.engine)
        self._report_finished(self.may_wait)

    def _report_finished(self, may_wait: int) -> None:
        """Report the finished recordings at the head of the queue; at most ``may_wait`` are left being written."""
        writing = sum(recording.writing is not None for recording in self.unreported)
        while self.unreported:
            first = self.unreported[0]
            if first.writing is None and not first.failed:
                return
            if first.writing is not None and not first.writing.done() and writing <= may_wait:
                return
            if first.writing is not None:
                first.writing.result()
                writing -= 1
            self.in_work.end(first.job.source)
            self.add(self.unreported.popleft().entry)

    def close(self) -> None:
        """After an interruption: write what is converted, report what has failed, give up the others."""
        try:
            for recording in self.unreported:
                if recording.writing is not None:
                    recording.writing.result()
                if recording.writing is not None or recording.failed:
                    self.add(recording.entry)
        finally:
            self.in_work.close()
            self.pool.shutdown(cancel_futures=True)
