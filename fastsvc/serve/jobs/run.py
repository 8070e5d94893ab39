"""A run: jobs that are computed together, in one process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fastsvc.serve.jobs.book import Book
from fastsvc.serve.jobs.job import FAILED, Job, new_id
from fastsvc.serve.jobs.names import split
from fastsvc.serve.voices import Voices
from fastsvc.serve.workers.process import Process


@dataclass
class Run:
    """``jobs``: those that are not over yet; ``process``: as soon as it is known; ``task``: that works on it."""

    kind: str
    engine: str
    jobs: dict[str, Job]
    id: str = field(default_factory=new_id)
    process: Process | None = None
    task: asyncio.Task | None = None

    def over(self, book: Book, job: Job, state: str, **values) -> None:
        """A job is over: as Book.finish."""
        del self.jobs[job.id]
        book.finish(job, state, **values)

    def fail(self, book: Book, error: dict) -> None:
        """All jobs fail for the same reason."""
        for job in list(self.jobs.values()):
            self.over(book, job, FAILED, error=error)

    def names(self, book: Book, voices: Voices) -> dict[str, str]:
        """What stands for paths in messages to clients."""
        names = voices.names()
        for job in self.jobs.values():
            names |= {str(book.folder(job) / job.source): job.name, str(book.folder(job)): job.name}
            names[job.id] = split(job.name)[0]  # a result in work is ID.wav
        return names
