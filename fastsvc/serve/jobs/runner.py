"""Jobs in work: which is begun next, in which worker, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc import faults, screen
from fastsvc.errors import EngineError, FastsvcError
from fastsvc.serve import messages
from fastsvc.serve.jobs.book import Book
from fastsvc.serve.jobs.job import BUILD, CANCELLED, CONVERT, DONE, FAILED, Job, new_id
from fastsvc.serve.jobs.names import result_name
from fastsvc.serve.voices import Voice, Voices
from fastsvc.serve.workers.link import typed
from fastsvc.serve.workers.pool import Pool, Worker
from fastsvc.serve.workers.process import Process, WorkerEnded

GROUP = 16  # most jobs that share an engine's batches
BUILDS = 1  # at a time
log = logging.getLogger("fastsvc.serve")


@dataclass
class Run:
    """Jobs that are computed together. ``jobs``: those that are not over yet."""

    kind: str
    engine: str
    jobs: dict[str, Job]
    id: str = field(default_factory=new_id)
    process: Process | None = None
    task: asyncio.Task | None = None


class Runner:
    """``runs``: what is in work, by id. ``stopping``: nothing more is begun."""

    def __init__(self, book: Book, pool: Pool, voices: Voices):
        self.book, self.pool, self.voices = book, pool, voices
        self.settings, self.metrics = book.settings, book.metrics
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
            await (self._build(run) if run.kind == BUILD else self._convert(run))
        except WorkerEnded as error:
            self._ended(run, error)
        except FastsvcError as error:
            self._fail(run, messages.public(error, self._names(run)))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.error("%s", faults.details(error))
            self._fail(run, {"what": faults.TITLE, "why": type(error).__name__, "remedy": "please report it"})
        finally:
            shutil.rmtree(self._folder(run), ignore_errors=True)
            self.runs.pop(run.id, None)
            self.changed.set()
            self.fill()

    def _folder(self, run: Run) -> Path:
        return self.settings.work_folder / run.id

    def _names(self, run: Run) -> dict[str, str]:
        """What stands for paths in messages to clients."""
        names = {str(voice.path): voice.name for voice in self.voices}
        for job in run.jobs.values():
            names |= {str(self.book.folder(job) / job.source): job.name, str(self.book.folder(job)): job.name}
        return names

    def _ended(self, run: Run, error: FastsvcError) -> None:
        """The worker has died: of several jobs nobody knows which one ended it, so each is tried alone."""
        if len(run.jobs) > 1:
            self.book.requeue(run.jobs.values(), alone=True)
        else:
            self._fail(run, messages.public(error))

    def _fail(self, run: Run, error: dict) -> None:
        for job in list(run.jobs.values()):
            self._over(run, job, FAILED, error=error)

    def _over(self, run: Run, job: Job, state: str, **values) -> None:
        del run.jobs[job.id]
        self.book.finish(job, state, **values)

    async def _convert(self, run: Run) -> None:
        voice = self.voices.get(run.engine)
        if voice is None:
            raise EngineError("the engine was removed", "choose another one")
        worker = await self.pool.acquire(voice)
        try:
            if run.jobs:
                run.process = worker.process
                await self._converse(run, worker, voice)
        except asyncio.CancelledError:
            if worker.process is not None:
                worker.process.kill()
            raise
        finally:
            self.pool.release(worker)

    async def _converse(self, run: Run, worker: Worker, voice: Voice) -> None:
        process, folder = worker.process, self._folder(run)
        assert process is not None, "it is loaded"
        folder.mkdir(parents=True)
        jobs, options = list(run.jobs.values()), next(iter(run.jobs.values())).options
        for job in jobs:
            self.book.tell(job, stage="converting")
        told = [
            {
                "id": job.id,
                "folder": str(self.book.folder(job)),
                "input": job.source,
                "name": job.name,
                "pictures": job.pictures,
            }
            for job in jobs
        ]
        process.send({"run": run.id, "folder": str(folder), "options": options, "jobs": told})
        while True:
            message = await process.receive()
            if not isinstance(message, dict):
                continue
            if message.get("idle") == run.id:
                if run.jobs:
                    raise EngineError(f"{voice.name}: the conversion ended without a result", "try it again")
                return
            self._heed(run, message)

    def _heed(self, run: Run, message: dict) -> None:
        """What a worker tells of its jobs. Jobs that were cancelled meanwhile are not among the run's any more."""
        for id in message.get("jobs", ()):
            if id in run.jobs:
                self.book.tell(run.jobs[id], progress=message["progress"])
        job = run.jobs.get(message.get("job", ""))
        if job is None:
            return
        if "stage" in message:
            self.book.tell(job, stage=message["stage"])
        elif "failed" in message:
            error = typed(message["failed"])
            if error.message.startswith(faults.TITLE) and run.process is not None:
                log.error("%s", screen.shown(run.process.last_words, lines=True))
            self._over(run, job, FAILED, error=messages.public(error, self._names(run)))
        elif "done" in message:
            self._converted(run, job, message["done"])

    def _converted(self, run: Run, job: Job, done: dict) -> None:
        path = self.book.folder(job) / done["file"]
        job.notes += [messages.plain(note, self._names(run)) for note in done["notes"]]
        job.seconds = done["seconds"]
        result = {
            "file": done["file"],
            "name": result_name(job, path.suffix),
            "bytes": path.stat().st_size,
            "rate_hz": done["rate_hz"],
            "samples": done["samples"],
            "transpose": done["transpose"],
        }
        self.metrics.audio_seconds.inc(done["seconds"])
        for stage, seconds in done["timings_s"].items():
            self.metrics.stages.labels(stage).observe(seconds)
        if done["seconds"]:
            self.metrics.rtf.observe(done["timings_s"].get("convert", 0.0) / done["seconds"])
        self._over(run, job, DONE, result=result)

    async def _build(self, run: Run) -> None:
        (job,) = run.jobs.values()
        role = {"role": "build", "call": job.call, "arguments": job.arguments}
        run.process = process = await Process.start(role, self.settings.empty_folder, job.name)
        self.book.tell(job, stage="building")
        voice, name = job.arguments["voice"], job.arguments["name"]
        try:
            while run.jobs:
                message = await process.receive()
                if "log" in message or "progress" in message:
                    self.book.tell(job, line=message.get("log"), progress=message.get("progress"))
                elif "failed" in message:
                    raise typed(message["failed"])
                elif "done" in message:
                    job.notes += message["done"]
                    self.voices.install(voice, name)
                    self._over(run, job, DONE)
        finally:
            await process.end()
            if job.state != DONE and not self.stopping:
                self.discard(job)

    def discard(self, job: Job) -> None:
        """Remove what a build that did not come to its end leaves."""
        if job.kind == BUILD:
            shutil.rmtree(self.voices.folder(job.arguments["voice"]), ignore_errors=True)

    def cancel(self, job: Job) -> None:
        """Stop a job in work. Its worker ends the conversion soon, or is ended."""
        run = next(run for run in self.runs.values() if job.id in run.jobs)
        self._over(run, job, CANCELLED)
        if run.jobs or run.process is None:  # others go on, or nothing was begun yet
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
            try:
                await asyncio.wait_for(self.changed.wait(), left)
            except asyncio.TimeoutError:
                break

    async def stop(self) -> None:
        """End what is in work; it waits again, for the next start."""
        self.stopping = True
        unfinished = [job for run in self.runs.values() for job in run.jobs.values()]
        tasks = [run.task for run in self.runs.values() if run.task is not None]
        for run in self.runs.values():
            run.jobs.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.book.requeue(unfinished)
