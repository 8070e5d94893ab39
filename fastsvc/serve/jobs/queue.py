"""The jobs of a server, as its routes use them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastsvc.errors import FastsvcError
from fastsvc.serve.jobs.book import Book
from fastsvc.serve.jobs.events import Events
from fastsvc.serve.jobs.job import BUILD, CANCELLED, CONVERT, Job, new_id
from fastsvc.serve.jobs.names import cleaned
from fastsvc.serve.jobs.runner import Runner
from fastsvc.serve.jobs.store import Store
from fastsvc.serve.metrics import Metrics
from fastsvc.serve.settings import ServeSettings
from fastsvc.serve.voices import Voice, Voices
from fastsvc.serve.workers.pool import Pool

EXPIRE_S = 30.0  # between looks at what may be removed
RETRY_S = 10  # what clients are told to wait where the queue is full


class Full(FastsvcError):
    """The queue takes no more jobs now."""


class Stopping(FastsvcError):
    """The server takes no more jobs, as it stops."""


class JobQueue:
    """``book``: all jobs; ``runner``: those in work; ``events``: who waits for news."""

    def __init__(self, settings: ServeSettings, voices: Voices, pool: Pool, metrics: Metrics):
        self.settings, self.metrics = settings, metrics
        self.events = Events()
        self.store = Store(settings.home)
        self.book = Book(settings, self.store, self.events, metrics)
        self.runner = Runner(self.book, pool, voices)
        self.incoming_bytes = 0  # of recordings that are being received
        self._expiring: asyncio.Task | None = None

    def start(self) -> None:
        """Take up what waits since the last time."""
        self.book.recover()
        self.runner.fill()
        self._expiring = asyncio.ensure_future(self._expire())

    async def _expire(self) -> None:
        while True:
            self.book.expire()
            await asyncio.sleep(EXPIRE_S)

    def check_room(self, jobs: int, more_bytes: int = 0) -> None:
        """Raises Full or Stopping where that many jobs, or their recordings, cannot be taken now."""
        if self.runner.stopping:
            raise Stopping("the server is stopping", "try again when it has started again")
        waiting = len(self.book.waiting)
        if waiting + jobs > self.settings.queue:
            raise Full(f"the queue is full: {waiting} jobs wait", "try again in a moment")
        if self.book.unfinished_bytes() + self.incoming_bytes + more_bytes > self.settings.waiting_bytes:
            raise Full("the queue is full: the recordings that wait are too large together", "try again in a moment")

    def add_conversions(
        self, voice: Voice, options: Mapping, recordings: Sequence[tuple[Path, str, float]], pictures: bool = True
    ) -> list[Job]:
        """A job for each (file, which is moved, client's name for it, seconds). ``options``: checked ones.

        Raises Full, Stopping; OSError and sqlite3's errors, as from a full disk. Then no job is accepted.
        """
        self.check_room(len(recordings))
        assert voice.table is not None, "checked options name a speaker of its table"
        batch, jobs = new_id(), []
        try:
            for path, name, seconds in recordings:
                name = cleaned(name)
                job = Job(new_id(), batch, CONVERT, name, voice.id, voice.name, options=dict(options), seconds=seconds)
                job.speaker_name = voice.table.name(options["speaker"])
                job.pictures, job.source, job.bytes = pictures, "input" + path.suffix, path.stat().st_size
                folder = self.book.folder(job)
                folder.mkdir(mode=0o700)
                jobs.append(job)
                path.replace(folder / job.source)
            self._admit(jobs)
        except BaseException:
            for job in jobs:
                self._remove_files(job)
            raise
        return jobs

    def add_build(self, name: str, call: str, arguments: Mapping) -> Job:
        """A job that calls a function in a process of its own: fastsvc/serve/workers/__init__.py.

        ``name``: of the uploaded file. Raises Full, Stopping, sqlite3's errors."""
        self.check_room(1)
        job = Job(new_id(), new_id(), BUILD, cleaned(name, "voice"), call=call, arguments=dict(arguments))
        job.engine, job.engine_name = arguments["voice"], arguments["name"]
        self.book.folder(job).mkdir(mode=0o700)
        try:
            self._admit([job])
        except BaseException:
            self._remove_files(job)
            raise
        return job

    def _admit(self, jobs: Sequence[Job]) -> None:
        self.book.admit(jobs)
        self.runner.fill()

    def _remove_files(self, job: Job) -> None:
        shutil.rmtree(self.book.folder(job), ignore_errors=True)

    def uses(self, engine_id: str) -> bool:
        """Whether a job waits for that engine, or is in work with it."""
        return any(job.engine == engine_id for job in self.book.unfinished())

    def cancel(self, job: Job) -> None:
        """Cancel a job that waits or is in work; its state is CANCELLED at once."""
        if job.id in self.book.waiting:
            self.book.finish(job, CANCELLED)
            self.runner.discard(job)
        elif job.id in self.book.running:
            self.runner.cancel(job)

    def remove(self, job: Job) -> None:
        """Forget a job that is over, and its files."""
        self.book.remove(job)

    async def drain(self) -> None:
        """Take and begin nothing more; wait for jobs in work, at most settings.drain_s."""
        await self.runner.drain(self.settings.drain_s)

    async def stop(self) -> None:
        """What is in work or waits is kept for the next start."""
        if self._expiring is not None:
            self._expiring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._expiring
        await self.runner.stop()
        self.store.close()
