"""Jobs in work: which is begun next, in which worker, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging

from fastsvc import faults
from fastsvc.errors import FastsvcError
from fastsvc.serve import messages
from fastsvc.serve.jobs.book import Book
from fastsvc.serve.jobs.building import Building
from fastsvc.serve.jobs.converting import Converting
from fastsvc.serve.jobs.events import happens
from fastsvc.serve.jobs.job import BUILD, CANCELLED, CONVERT, Job
from fastsvc.serve.jobs.run import Run
from fastsvc.serve.voices import Voices
from fastsvc.serve.workers.pool import Pool
from fastsvc.serve.workers.process import WorkerEnded

GROUP = 16  # most jobs that share an engine's batches
BUILDS = 1  # at a time
log = logging.getLogger("fastsvc.serve")


class Runner:
    """``runs``: what is in work, by id. ``stopping``: nothing more is begun."""

    def __init__(self, book: Book, pool: Pool, voices: Voices):
        self.book, self.pool, self.voices = book, pool, voices
        self.settings = book.settings
        self.converting, self.building = Converting(book, pool, voices), Building(book, voices)
        self.runs: dict[str, Run] = {}
        self.stopping = False
        self.changed = asyncio.Event()

    def fill(self) -> None:
        """Begin what can be begun now."""
        while not self.stopping and (jobs := self._next()):
            self.book.begin(jobs)
            run = Run(jobs[0].kind, jobs[0].engine, {job.id: job for job in jobs})
            self.runs[run.id] = run
            run.task = asyncio.ensure_future(self._work(run))

    def _next(self) -> list[Job]:
        kinds = [run.kind for run in self.runs.values()]
        converts, builds = kinds.count(CONVERT) < self.settings.parallel, kinds.count(BUILD) < BUILDS
        if not (converts or builds):
            return []
        engines = {run.engine for run in self.runs.values() if run.kind == CONVERT}
        for job in self.book.waiting.values():
            if job.kind == BUILD and builds:
                return [job]
            if job.kind == CONVERT and converts and job.engine not in engines:
                return self._group(job)
        return []

    def _group(self, first: Job) -> list[Job]:
        """The job, and others of the same engine and options where that engine shares batches."""
        if first.alone or not self.pool.shares(first.engine):
            return [first]
        alike = (
            job
            for job in self.book.waiting.values()
            if (job.kind, job.engine, job.options) == (CONVERT, first.engine, first.options) and not job.alone
        )
        return [job for job, _ in zip(alike, range(GROUP))]

    async def _work(self, run: Run) -> None:
        try:
            await (self.building if run.kind == BUILD else self.converting).work(run)
        except WorkerEnded as error:
            self._ended(run, error)
        except FastsvcError as error:
            run.fail(self.book, messages.public(error, run.names(self.book, self.voices)))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.error("%s", faults.details(error))
            run.fail(self.book, {"what": faults.TITLE, "why": type(error).__name__, "remedy": "please report it"})
        finally:
            self.runs.pop(run.id, None)
            self.changed.set()
            self.fill()

    def _ended(self, run: Run, error: FastsvcError) -> None:
        """The worker has died: of several jobs nobody knows which one ended it, so each is tried alone."""
        if len(run.jobs) > 1:
            self.book.requeue(run.jobs.values(), alone=True)
        else:
            run.fail(self.book, messages.public(error))

    def discard(self, job: Job) -> None:
        """Remove what a job that was not begun, or not ended, leaves besides its own folder."""
        self.building.discard(job)

    def cancel(self, job: Job) -> None:
        """Stop a job in work. Its worker ends the conversion soon, or is ended."""
        run = next(run for run in self.runs.values() if job.id in run.jobs)
        run.over(self.book, job, CANCELLED)
        if run.jobs:  # others go on
            return
        if run.process is None:  # nothing was begun yet
            self.discard(job)
            return
        if run.kind == BUILD:
            run.process.kill()
            return
        run.process.send({"cancel": run.id})
        asyncio.get_running_loop().call_later(self.settings.cancel_s, self._kill, run)

    def _kill(self, run: Run) -> None:
        if run.id in self.runs and run.process is not None:
            run.process.kill()

    async def drain(self, seconds: float) -> None:
        """Begin nothing more; wait for what is in work, at most that long."""
        self.stopping = True
        deadline = asyncio.get_running_loop().time() + seconds
        while self.runs and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self.changed.clear()
            await happens(self.changed, left)

    async def stop(self) -> None:
        """End what is in work; it waits again, for the next start."""
        self.stopping = self.building.stopping = True
        unfinished = [job for run in self.runs.values() for job in run.jobs.values()]
        tasks = [run.task for run in self.runs.values() if run.task is not None]
        for run in self.runs.values():
            run.jobs.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.book.requeue(unfinished)
