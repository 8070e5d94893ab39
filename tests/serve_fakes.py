"""A pool of workers that do what a test says, for tests of the queue."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace

from fastsvc.serve.jobs.queue import JobQueue
from fastsvc.serve.metrics import Metrics
from fastsvc.serve.settings import ServeSettings
from fastsvc.serve.voices import Voices
from fastsvc.serve.workers.process import WorkerEnded


class FakeProcess:
    """``sent``: what the server told it; :meth:`answer` is what it tells the server, None: it has died."""

    def __init__(self):
        self.sent, self.answers, self.killed, self.last_words = [], asyncio.Queue(), False, ""

    def send(self, message) -> None:
        self.sent.append(message)

    def answer(self, *messages) -> None:
        for message in messages:
            self.answers.put_nowait(message)

    async def receive(self):
        message = await self.answers.get()
        if message is None:
            raise WorkerEnded("the worker process ended (signal 9)", "try it again")
        return message

    def kill(self) -> None:
        self.killed = True
        self.answer(None)


class FakePool:
    """``sharing``: engines that share batches; ``processes``: one for each run, in their order."""

    def __init__(self, sharing=()):
        self.sharing, self.processes, self.released = set(sharing), [], 0

    def shares(self, engine_id):
        return engine_id in self.sharing

    async def acquire(self, voice):
        self.processes.append(FakeProcess())
        return SimpleNamespace(process=self.processes[-1], voice=voice)

    def release(self, worker):
        self.released += 1


class Bench:
    """A queue with a fake pool, and recordings to send."""

    def __init__(self, home: Path, pool: FakePool, **limits):
        self.settings = ServeSettings(home=home, cancel_s=0.05, **limits)
        self.settings.make_folders()
        self.pool, self.voices = pool, Voices(self.settings)
        self.voice = self.voices.get("voices")
        self.queue = JobQueue(self.settings, self.voices, pool, Metrics())
        self.book, self.count = self.queue.book, 0

    def add(self, number: int = 1, voice=None, **options):
        """Jobs of one request."""
        recordings = []
        for _ in range(number):
            self.count += 1
            path = self.settings.incoming_folder / f"{self.count}.wav"
            path.write_bytes(b"sound" * 10)
            recordings.append((path, f"song {self.count}.wav", 1.0))
        return self.queue.add_conversions(voice or self.voice, {"speaker": "slt", "seed": 0, **options}, recordings)

    def done(self, process, job) -> dict:
        """The message of a job whose result is written."""
        (self.book.folder(job) / "result.wav").write_bytes(b"result")
        values = {"file": "result.wav", "seconds": 1.0, "rate_hz": 24000, "samples": 24000, "transpose": 0}
        return {"job": job.id, "done": {**values, "notes": [], "timings_s": {"convert": 0.1}}}

    def finish(self, process, *jobs) -> None:
        """The worker finishes these jobs and its run."""
        process.answer(*(self.done(process, job) for job in jobs), {"idle": process.sent[0]["run"]})


@contextlib.asynccontextmanager
async def bench(home, pool=None, **limits):
    made = Bench(home, pool or FakePool(), **limits)
    made.queue.start()
    try:
        yield made
    finally:
        await made.queue.stop()


async def settled() -> None:
    """Let all that can run do so."""
    for _ in range(30):
        await asyncio.sleep(0)
