"""What a running server consists of. Routes reach it through :func:`service`."""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import Request, WebSocket

from fastsvc import files
from fastsvc.errors import FastsvcError, OutputError
from fastsvc.serve.builds.sweep import sweep
from fastsvc.serve.jobs.queue import JobQueue
from fastsvc.serve.metrics import Metrics
from fastsvc.serve.settings import ServeSettings
from fastsvc.serve.voices import Voices
from fastsvc.serve.workers.pool import Pool
from fastsvc.serve.workers.prober import Prober


class Service:
    """``voices``: the engines that are offered; ``pool``: their processes; ``queue``: all jobs; ``prober``: reads
    headers. They are there between :meth:`start` and :meth:`stop`."""

    voices: Voices
    pool: Pool
    queue: JobQueue
    prober: Prober
    metrics: Metrics

    def __init__(self, settings: ServeSettings):
        self.settings = settings
        self.started = self.ending = False  # ending: nothing more happens to jobs, so streams of events end
        self._lock = contextlib.ExitStack()
        self._warming: asyncio.Task | None = None

    async def start(self) -> None:
        """Begin to work on the jobs that wait. Raises OutputError where the data folder cannot be used, or another
        server uses it. Once it runs, this does nothing."""
        if self.started:
            return
        home = self.settings.home
        try:
            self.settings.make_folders()
        except OSError as error:
            raise OutputError(
                f"{home}: cannot be used: {files.reason(error)}", "choose another folder with --home"
            ) from None
        with contextlib.ExitStack() as lock:
            lock.enter_context(files.folder_lock(home, "serving"))
            self._begin()
            self._lock = lock.pop_all()
        self.started = True
        if self.settings.warm:
            self._warming = asyncio.ensure_future(self._warm())

    def _begin(self) -> None:
        """Make all parts, and take up the jobs that wait."""
        self.metrics = Metrics()
        self.voices = Voices(self.settings)
        self.pool = Pool(self.settings, self.voices, self.metrics.restarts.inc)
        self.queue = JobQueue(self.settings, self.voices, self.pool, self.metrics)
        self.prober = Prober(self.settings.empty_folder)
        self._watch()
        self.queue.start()
        sweep(self.settings.voices_folder, self.queue.book.unfinished())

    def _watch(self) -> None:
        metrics, pool = self.metrics, self.pool
        metrics.watch(metrics.engines, lambda: sum(worker.ready for worker in pool.workers))
        metrics.watch(metrics.bytes, pool.resident_bytes)
        metrics.watch(metrics.running, lambda: len(self.queue.book.running))
        metrics.watch(metrics.streams, pool.streams)

    async def _warm(self) -> None:
        """Load the default engine, so that the first conversion does not wait for it."""
        voice = self.voices.default()
        if voice is not None and not self.pool.workers:
            with contextlib.suppress(FastsvcError):  # the first job will tell
                self.pool.release(await self.pool.acquire(voice))
                self.queue.runner.fill()

    @property
    def draining(self) -> bool:
        """Whether new jobs are refused, as the server stops."""
        return not self.started or self.queue.runner.stopping

    async def drain(self) -> None:
        """Take no new jobs; wait for those in work, at most settings.drain_s."""
        await self.queue.drain()
        self.ending = True
        self.queue.events.touch_all()

    async def stop(self) -> None:
        """End all worker processes; jobs that wait are kept for the next start."""
        if not self.started:
            return
        self.started = False
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        await self.queue.stop()
        await self.prober.close()
        await self.pool.close()
        self._lock.close()


def service(connection: Request | WebSocket) -> Service:
    """The service behind a route."""
    return connection.app.state.service
