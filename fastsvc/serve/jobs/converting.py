"""Conversions: a worker of the engine is asked, and tells how far it is."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

from fastsvc import faults, screen
from fastsvc.errors import EngineError
from fastsvc.serve import messages
from fastsvc.serve.jobs.book import Book
from fastsvc.serve.jobs.job import DONE, FAILED, Job
from fastsvc.serve.jobs.names import result_name
from fastsvc.serve.jobs.run import Run
from fastsvc.serve.voices import Voice, Voices
from fastsvc.serve.workers.link import typed
from fastsvc.serve.workers.pool import Pool, Worker

log = logging.getLogger("fastsvc.serve")


class Converting:
    """Runs of jobs of one engine with the same options."""

    def __init__(self, book: Book, pool: Pool, voices: Voices):
        self.book, self.pool, self.voices = book, pool, voices
        self.metrics = book.metrics

    def _folder(self, run: Run) -> Path:
        """Where results are written; they are moved into their jobs' folders once they are whole."""
        return self.book.settings.work_folder / run.id

    async def work(self, run: Run) -> None:
        """Raises EngineError, ResourceError, WorkerEnded for the jobs that are left."""
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
            shutil.rmtree(self._folder(run), ignore_errors=True)
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
            run.over(self.book, job, FAILED, error=messages.public(error, run.names(self.book, self.voices)))
        elif "done" in message:
            self._converted(run, job, message["done"])

    def _converted(self, run: Run, job: Job, done: dict) -> None:
        path = self.book.folder(job) / done["file"]
        names = run.names(self.book, self.voices)
        job.notes += [messages.plain(note, names) for note in done["notes"]]
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
        run.over(self.book, job, DONE, result=result)
