"""Builds of voices: one process each, and the voice is offered once it is there."""

from __future__ import annotations

import shutil

from fastsvc.serve.jobs.book import Book
from fastsvc.serve.jobs.job import BUILD, DONE, Job
from fastsvc.serve.jobs.run import Run
from fastsvc.serve.voices import Voices
from fastsvc.serve.workers.link import typed
from fastsvc.serve.workers.process import Process


class Building:
    """``stopping``: the server stops, and what an unfinished build has left stays for the next start."""

    def __init__(self, book: Book, voices: Voices):
        self.book, self.voices = book, voices
        self.stopping = False

    async def work(self, run: Run) -> None:
        """Raises the typed errors of the build, WorkerEnded, ResourceError."""
        if not run.jobs:  # cancelled before its first step
            return
        (job,) = run.jobs.values()
        role = {"role": "build", "call": job.call, "arguments": job.arguments}
        run.process = process = await Process.start(role, self.book.settings.empty_folder, job.name)
        self.book.tell(job, stage="building")
        try:
            while run.jobs:
                message = await process.receive()
                if "log" in message or "progress" in message:
                    self.book.tell(job, line=message.get("log"), progress=message.get("progress"))
                elif "failed" in message:
                    raise typed(message["failed"])
                elif "done" in message:
                    job.notes += message["done"]
                    self.voices.install(job.arguments["voice"], job.arguments["name"])
                    run.over(self.book, job, DONE)
        finally:
            await process.end()
            if job.state != DONE and not self.stopping:
                self.discard(job)

    def discard(self, job: Job) -> None:
        """Remove what a build that did not come to its end leaves."""
        if job.kind == BUILD:
            shutil.rmtree(self.voices.folder(job.arguments["voice"]), ignore_errors=True)
