"""One engine and the tasks that it is sent, wherever it runs: recordings by URL are fetched, results by URL put."""

from __future__ import annotations

import functools
import platform
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc import faults, files
from fastsvc.audio import io
from fastsvc.convert import batch
from fastsvc.convert.index import Index
from fastsvc.convert.plan import ConversionPlan, Job
from fastsvc.convert.report import DONE, FAILED, SKIPPED, ConversionReport, Entry
from fastsvc.convert.results import Results
from fastsvc.convert.sources import Sources
from fastsvc.convert.spread import engines
from fastsvc.convert.spread.remote_results import RemoteLists
from fastsvc.convert.spread.settle import SpreadResults, remote_results, source_of
from fastsvc.convert.spread.task import SpreadJob, Task
from fastsvc.errors import EngineError, FastsvcError
from fastsvc.remote import Folder, is_url, split

STAGING = "staging"  # in the cache folder: recordings that were fetched, and results not put yet


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker needs to start. ``engine``: a path or URL; ``content_hash``: of the driver's engine, which must be
    the same; ``out``: the output folder, a path or URL; ``own_list``: of results, as other machines write there too;
    ``threads``: of PyTorch on a CPU, 0: its own choice; ``folder``: in which relative paths begin,
    "" for the current one."""

    engine: str
    content_hash: str
    out: str
    device: str = "cpu"
    precision: str = "auto"
    vocoder_backend: str = "auto"
    own_list: bool = False
    threads: int = 0
    folder: str = ""


@dataclass
class Staged:
    """A task whose recordings are here. ``jobs``: (the job, as it is converted here); ``entries``: by number."""

    task: Task
    folder: Path | None
    jobs: list[tuple[SpreadJob, Job]] = field(default_factory=list)
    entries: dict[int, Entry] = field(default_factory=dict)


class PassResults(Results):
    """What is converted into the staging folder is judged when it is put, not before; no list is kept there."""

    def __init__(self):
        pass

    def settled(self, job: Job) -> None:
        return None

    def approve(self, job: Job, written, notes: list[str]) -> None:
        return None

    def is_new(self, job: Job) -> bool:
        return True


class Worker:
    """``work`` may be called by two threads: one task is fetched or put while the other one is converted."""

    def __init__(self, spec: WorkerSpec, engine=None):
        self.spec, self.engine = spec, engine
        self.lock, self._staging_lock = threading.Lock(), threading.Lock()
        self._staging: Path | None = None

    @functools.cached_property
    def _lists(self) -> RemoteLists | None:
        return RemoteLists(Folder(self.spec.out)) if is_url(self.spec.out) else None

    def open(self) -> dict | FastsvcError:
        """Open the engine; returns what the driver should know of this process, or the error."""
        try:
            if self.engine is None:
                self.engine = self.opened()
            return {"process": files.process_name(), "shares_batches": self.engine.shares_batches}
        except Exception as error:
            return faults.user_error(error) or EngineError(f"{self.spec.engine}: {faults.line(error)}")

    def opened(self):
        """The engine. Raises FastsvcError."""
        import torch

        from fastsvc.engine import Engine

        spec = self.spec
        if spec.threads and spec.device == "cpu":
            torch.set_num_threads(spec.threads)
        path = engines.local(spec.engine)
        engine = Engine.open(path, spec.device, spec.precision, spec.vocoder_backend)
        if engine.content_hash != spec.content_hash:
            raise EngineError(
                f"{spec.engine} is another engine on {platform.node()} than here",
                "give every machine the same engine, or name it by a URL",
            )
        return engine

    def work(self, task: Task) -> dict[int, Entry]:
        """The entries of all recordings of the task, by their numbers."""
        staged = self.fetch(task)
        with self.lock:
            self.convert(staged)
        return self.publish(staged)

    def fetch(self, task: Task) -> Staged:
        """Bring the recordings here that are named by URL."""
        staged = Staged(task, self._folder(task))
        for job in task.jobs:
            try:
                source, target = Path(self.spec.folder, job.source), Path(self.spec.folder, job.target)
                if is_url(job.source):
                    assert staged.folder is not None
                    url, name = split(job.source)
                    source = staged.folder / f"in-{job.number}{Path(name).suffix}"
                    Folder(url).fetch(name, source)
                if is_url(job.target):
                    assert staged.folder is not None
                    target = staged.folder / f"out-{job.number}{Path(job.target).suffix}"
                staged.jobs.append((job, Job(source, target, job.format)))
            except Exception as error:
                staged.entries[job.number] = _failed(job, task, error)
        return staged

    def convert(self, staged: Staged, progress: Callable[[float], None] = lambda recordings: None) -> None:
        """Convert what was fetched. Raises KeyboardInterrupt, after which what is done can be published."""
        task, jobs = staged.task, [job for _, job in staged.jobs]
        if not jobs:
            return
        report = ConversionReport()
        try:
            folder = Path(self.spec.folder, self.spec.out) if self._lists is None else staged.folder or Path()
            plan = ConversionPlan(jobs, folder=folder, sources=Sources(job.source for job in jobs))
            results = PassResults() if self._lists is not None else self._results(plan, staged)
            report = batch.run(self.engine, plan, task.settings, progress=progress, results=results)
        except Exception as error:
            staged.entries |= {job.number: _failed(job, task, error) for job, _ in staged.jobs}
        found = {entry.output: entry for entry in report.entries}  # of a source there may be several
        for job, here in staged.jobs:
            entry = found.get(str(here.target))
            if entry is not None:
                shown = (str(here.source), job.source), (str(here.target), job.target)
                for old, new in shown:
                    entry.reason = entry.reason.replace(old, new)
                    entry.notes = [note.replace(old, new) for note in entry.notes]
                entry.input, entry.output = job.source, job.target
                if entry.status == SKIPPED:
                    _describe(entry, here, task)
                staged.entries[job.number] = entry
        if report.interrupted:
            raise KeyboardInterrupt

    def publish(self, staged: Staged) -> dict[int, Entry]:
        """Put the results that go to a URL; the entries."""
        task, lists = staged.task, self._lists
        for job, here in staged.jobs if lists is not None else ():
            entry = staged.entries.get(job.number)
            if lists is not None and entry is not None and entry.status == DONE:
                try:
                    results = remote_results(self.engine, lists, task.settings, [job.format])
                    results.publish(job, source_of(job, self.spec.folder) or (job.source, 0, 0), here.target)
                except Exception as error:
                    entry.status, entry.reason = FAILED, faults.line(error)
        if staged.folder is not None:
            shutil.rmtree(staged.folder, ignore_errors=True)
        return staged.entries

    def close(self) -> None:
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)

    def _results(self, plan: ConversionPlan, staged: Staged) -> SpreadResults:
        """The driver has cleared the folders. The lists are read anew, as another worker may have done the task, but
        only if its target exists."""
        index = Index(plan.folder, files.machine_name() if self.spec.own_list else "")
        origins = {here.source: job for job, here in staged.jobs}
        return SpreadResults(origins, self.engine, plan, staged.task.settings, index, clear=False)

    def _folder(self, task: Task) -> Path | None:
        if not any(is_url(name) for job in task.jobs for name in (job.source, job.target)):
            return None
        with self._staging_lock:
            if self._staging is None:
                root = files.cache_folder() / STAGING
                files.clear_leftovers(root)
                self._staging = root / files.temporary_name()
        folder = self._staging / str(task.number)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _failed(job: SpreadJob, task: Task, error: Exception) -> Entry:
    entry = Entry(job.source, job.target, FAILED, faults.line(error), speaker=task.settings.voice)
    if faults.user_error(error) is None:
        entry.traceback = faults.details(error)
    return entry


def _describe(entry: Entry, here: Job, task: Task) -> None:
    """Complete the entry of a result that was not there when the driver looked: of a worker that was lost after it had
    written it, and before it could say so."""
    source, target = io.probe(here.source), io.probe(here.target)
    entry.status, entry.reason, entry.transpose = DONE, "", task.settings.request.transpose
    entry.seconds, entry.rate_hz, entry.output_rate_hz = source.seconds, source.rate_hz, target.rate_hz
    entry.channels = source.channels if task.settings.keep_channels else 1
    entry.timings_s = {"read": 0.0, "convert": 0.0, "write": 0.0}
