"""Which jobs wait, run and are over; what is kept of each on the disk."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from fastsvc.serve.jobs.events import Events
from fastsvc.serve.jobs.job import BUILD, DONE, FAILED, QUEUED, RUNNING, Job
from fastsvc.serve.jobs.store import Store
from fastsvc.serve.metrics import Metrics
from fastsvc.serve.settings import ServeSettings

ATTEMPTS = 2  # a job that was in work each time that the server died is not begun again
log = logging.getLogger("fastsvc.serve")


class Book:
    """``waiting``: in the order in which they will be begun; ``running``: in work. Others are in the store alone."""

    def __init__(self, settings: ServeSettings, store: Store, events: Events, metrics: Metrics):
        self.settings, self.store, self.events, self.metrics = settings, store, events, metrics
        self.waiting: dict[str, Job] = {}
        self.running: dict[str, Job] = {}
        self._places: dict[str, int] | None = None

    def folder(self, job: Job) -> Path:
        """The job's recording, result and pictures."""
        return self.settings.jobs_folder / job.id

    def get(self, id: str) -> Job | None:
        return self.waiting.get(id) or self.running.get(id) or self.store.get(id)

    def batch(self, id: str) -> list[Job]:
        """The jobs of one request, in their order."""
        return [self.waiting.get(job.id) or self.running.get(job.id) or job for job in self.store.batch(id)]

    def public(self, job: Job) -> dict:
        """The job as clients see it."""
        return job.public(self.place(job.id), self.settings.keep_s)

    def place(self, id: str) -> int | None:
        """The job's place in the queue, from 1; None where it does not wait."""
        if self._places is None:
            self._places = {id: number for number, id in enumerate(self.waiting, 1)}
        return self._places.get(id)

    def unfinished(self) -> list[Job]:
        """The jobs that wait or are in work."""
        return [*self.waiting.values(), *self.running.values()]

    def unfinished_bytes(self) -> int:
        """Size of their recordings."""
        return sum(job.bytes for job in self.unfinished())

    def _changed(self, *jobs: Job) -> None:
        self._places = None
        self.metrics.queue.set(len(self.waiting))
        self.events.touch({*self.waiting, *(job.id for job in jobs)})

    def admit(self, jobs: Sequence[Job]) -> None:
        """Accept new jobs, all or none. Raises sqlite3's errors from a full disk on."""
        self.store.add(jobs)
        self.waiting |= {job.id: job for job in jobs}
        self._changed(*jobs)

    def begin(self, jobs: Iterable[Job]) -> None:
        """They are taken from the queue."""
        jobs = list(jobs)
        for job in jobs:
            del self.waiting[job.id]
            self.running[job.id] = job
            job.state, job.stage, job.started, job.progress = RUNNING, "loading", time.time(), 0.0
            job.attempts += 1
            self.save(job)
        self._changed(*jobs)

    def requeue(self, jobs: Iterable[Job], *, alone: bool = False) -> None:
        """Back to the head of the queue, as if they had not been begun."""
        jobs = list(jobs)
        for job in jobs:
            self.running.pop(job.id, None)
            job.state, job.stage, job.started, job.progress = QUEUED, "", None, 0.0
            job.attempts, job.alone = max(0, job.attempts - 1), job.alone or alone
            self.save(job)
        self.waiting = {job.id: job for job in jobs} | self.waiting
        self._changed(*jobs)

    def tell(
        self, job: Job, *, stage: str | None = None, progress: float | None = None, line: str | None = None
    ) -> None:
        """News of a job in work."""
        job.stage = stage or job.stage
        job.progress = max(job.progress, min(1.0, progress)) if progress is not None else job.progress
        if line is not None:
            job.add_line(line)
        self.events.touch({job.id})

    def finish(self, job: Job, state: str, *, error: dict | None = None, result: dict | None = None) -> None:
        """The job is over; its recording as it was sent is removed."""
        self.waiting.pop(job.id, None)
        self.running.pop(job.id, None)
        job.state, job.stage, job.error, job.result, job.finished = state, "", error, result, time.time()
        job.progress = 1.0 if state == DONE else job.progress
        folder = self.folder(job)
        if state != DONE:
            shutil.rmtree(folder, ignore_errors=True)
        elif job.source:
            (folder / job.source).unlink(missing_ok=True)
        job.bytes = sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0
        self.save(job)
        self.metrics.jobs.labels(state, job.kind).inc()
        self._changed(job)

    def remove(self, job: Job) -> None:
        """Forget a job that is over, and its files."""
        self.store.remove(job.id)
        shutil.rmtree(self.folder(job), ignore_errors=True)
        self.events.touch({job.id})

    def save(self, job: Job) -> None:
        """Keep the job's state. On a full disk the state stays in memory: after a restart the job runs again."""
        try:
            self.store.save(job)
        except sqlite3.OperationalError as error:
            log.warning("the state of job %s cannot be kept: %s", job.id, error)

    def recover(self) -> None:
        """After a start: jobs that were in work wait again; files of unknown jobs are removed."""
        for job in self.store.unfinished():
            lost = job.kind != BUILD and not (self.folder(job) / job.source).is_file()
            if job.state == RUNNING and job.attempts >= ATTEMPTS:
                why = f"the server ended {job.attempts} times while it was in work"
                self.finish(job, FAILED, error=_error(job, why, "try another recording, or other options"))
            elif lost:
                self.finish(job, FAILED, error=_error(job, "its recording is gone", "send it again"))
            else:
                job.state, job.started = QUEUED, None
                self.waiting[job.id] = job
                self.save(job)
        known = self.store.ids()
        for folder in self.settings.jobs_folder.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        for folder in (*self.settings.incoming_folder.iterdir(), *self.settings.work_folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
        self._changed()

    def expire(self) -> None:
        """Remove what is over for longer than keep_s, then the oldest until all together have at most keep_bytes."""
        finished, now = self.store.finished(), time.time()
        total = sum(size for _, _, size in finished)
        for id, ended, size in finished:
            if now - ended <= self.settings.keep_s and total <= self.settings.keep_bytes:
                break
            total -= size
            self.store.remove(id)
            shutil.rmtree(self.settings.jobs_folder / id, ignore_errors=True)
            self.events.touch({id})


def _error(job: Job, why: str, remedy: str) -> dict:
    return {"what": job.name, "why": why, "remedy": remedy}
