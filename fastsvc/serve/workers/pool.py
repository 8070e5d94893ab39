"""Engines in processes: started when they are needed, kept while there is memory, the longest unused ended first."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from fastsvc.errors import EngineError, FastsvcError, ResourceError
from fastsvc.serve.settings import ServeSettings
from fastsvc.serve.voices import Voice, Voices
from fastsvc.serve.workers.link import Link, typed
from fastsvc.serve.workers.process import Process

BASE_BYTES, TIMES_SIZE = 400 * 10**6, 2.5  # what an engine takes, until it was seen
START_S = 300.0  # for an engine to load
STOP_S = 5.0  # for a stream to end
ENGINE, LIVE = "engine", "live"


class Worker:
    """A process that holds one engine. ``kind``: ENGINE for jobs, LIVE for streams; ``busy``: it has work, or loads."""

    def __init__(self, voice: Voice, kind: str):
        self.voice, self.kind, self.process = voice, kind, None
        self.busy, self.shares, self.used_at = True, False, time.monotonic()
        self.expected_bytes = BASE_BYTES + round(TIMES_SIZE * voice.size_bytes)

    @property
    def ready(self) -> bool:
        return self.process is not None and self.process.alive

    def bytes(self) -> int:
        """Memory that it takes, or will take once it has loaded."""
        if self.process is None or not self.process.alive:
            return self.expected_bytes if self.busy else 0
        taken = self.process.rss_bytes()
        return max(taken, self.expected_bytes) if self.busy and self.process.told_bytes == 0 else taken


class Pool:
    """``on_restart`` is called when an engine is started again because its process had died."""

    def __init__(self, settings: ServeSettings, voices: Voices, on_restart: Callable[[], None] = lambda: None):
        self.settings, self.voices, self.on_restart = settings, voices, on_restart
        self.workers: list[Worker] = []
        self.broken: dict[str, FastsvcError] = {}
        self.died: set[str] = set()
        self.seen_bytes: dict[tuple[str, str], int] = {}
        self.freed = asyncio.Event()
        self.ending: set[asyncio.Future] = set()  # of processes that were told to end
        self.folder: Path = settings.empty_folder

    def state(self, voice: Voice) -> str:
        """cold, loading, ready or broken."""
        if voice.manifest is None or voice.id in self.broken:
            return "broken"
        own = [worker for worker in self.workers if worker.voice.id == voice.id]
        return "ready" if any(worker.ready for worker in own) else "loading" if own else "cold"

    def error(self, voice: Voice) -> FastsvcError | None:
        return voice.error or self.broken.get(voice.id)

    def shares(self, engine_id: str) -> bool:
        """Whether that engine is known to share batches."""
        return any(worker.shares for worker in self.workers if worker.voice.id == engine_id)

    def busy(self, engine_id: str) -> bool:
        return any(worker.busy for worker in self.workers if worker.voice.id == engine_id)

    def resident_bytes(self) -> int:
        return sum(worker.bytes() for worker in self.workers)

    def streams(self) -> int:
        """Live streams that run."""
        return sum(worker.kind == LIVE and worker.busy for worker in self.workers)

    async def acquire(self, voice: Voice, kind: str = ENGINE) -> Worker:
        """A worker of that engine that has nothing to do, loaded; it is the caller's until :meth:`release`.

        Raises EngineError where the engine cannot be loaded, ResourceError where no process can be started."""
        voice.usable  # noqa: B018  (raises)
        while True:
            self._forget_dead()
            own = [worker for worker in self.workers if (worker.voice.id, worker.kind) == (voice.id, kind)]
            idle = next((worker for worker in own if worker.ready and not worker.busy), None)
            if idle is not None:
                idle.busy = True
                return idle
            if kind == LIVE or not own:
                break
            await self._freed()  # it loads already
        worker = Worker(voice, kind)
        worker.expected_bytes = self.seen_bytes.get((voice.id, kind), worker.expected_bytes)
        await self._make_room(worker)
        self.workers.append(worker)
        try:
            await self._load(worker)
        except BaseException:
            self._end(worker)
            self.freed.set()
            raise
        return worker

    async def _load(self, worker: Worker) -> None:
        voice = worker.voice
        if voice.id in self.died:
            self.died.discard(voice.id)
            self.on_restart()
        role = {"role": worker.kind, "engine": str(voice.path), "device": self.settings.device}
        worker.process = await Process.start(role, self.folder, voice.name)
        try:
            message = await asyncio.wait_for(worker.process.receive(), START_S)
        except asyncio.TimeoutError:
            raise EngineError(f"{voice.name}: it did not load within {START_S:.0f} s") from None
        if not isinstance(message, dict) or "failed" in message:
            self.broken[voice.id] = typed(message["failed"]) if isinstance(message, dict) else EngineError(voice.name)
            raise self.broken[voice.id]
        self.broken.pop(voice.id, None)
        worker.shares = bool(message.get("shares"))

    def release(self, worker: Worker) -> None:
        """Give a worker back. One that has died, or whose engine is no longer offered, is forgotten."""
        worker.busy, worker.used_at = False, time.monotonic()
        if worker.ready:
            self.seen_bytes[worker.voice.id, worker.kind] = worker.bytes()
        if self.voices.get(worker.voice.id) is not worker.voice:
            self._end(worker)
        self._forget_dead()
        self._shrink(0)
        self.freed.set()

    def _forget_dead(self) -> None:
        for worker in [worker for worker in self.workers if worker.process and not worker.process.alive]:
            if not worker.busy:
                self.workers.remove(worker)
                if not worker.process.killed_by_us:
                    self.died.add(worker.voice.id)

    async def _make_room(self, new: Worker) -> None:
        """End idle workers until ``new`` fits; wait for busy ones. Alone a worker always fits."""
        while not self._shrink(new.expected_bytes) and self.workers:
            if new.kind == LIVE:
                raise ResourceError("the server's memory is in use", "try again when other conversions have ended")
            await self._freed()

    async def _freed(self) -> None:
        self.freed.clear()
        await self.freed.wait()

    def _shrink(self, more_bytes: int) -> bool:
        """Whether ``more_bytes`` fit, after idle workers were ended as far as needed."""
        while self.resident_bytes() + more_bytes > self.settings.memory_bytes:
            idle = [worker for worker in self.workers if not worker.busy]
            if not idle or (not more_bytes and len(self.workers) == 1):
                return False
            self._end(min(idle, key=lambda worker: worker.used_at))
        return True

    def _end(self, worker: Worker) -> None:
        if worker in self.workers:
            self.workers.remove(worker)
        if worker.process is not None:
            worker.process.kill()
            ending = asyncio.ensure_future(worker.process.end())
            self.ending.add(ending)
            ending.add_done_callback(self.ending.discard)

    def drop(self, engine_id: str) -> None:
        """End the idle workers of an engine, which was replaced or removed."""
        self.broken.pop(engine_id, None)
        for worker in [worker for worker in self.workers if worker.voice.id == engine_id and not worker.busy]:
            self._end(worker)

    @contextlib.asynccontextmanager
    async def stream(self, engine_id: str) -> AsyncIterator[Link]:
        """A process for one live stream. Raises EngineError, ResourceError."""
        voice = self.voices.get(engine_id)
        if voice is None:
            raise EngineError(f"there is no engine {engine_id!r}", "choose one of /api/v1/engines")
        if self.streams() >= self.settings.streams:
            raise ResourceError(
                f"{self.settings.streams} live conversions run already", "try again when one of them has ended"
            )
        worker = await self.acquire(voice, LIVE)
        assert worker.process is not None
        link = Link(worker.process)
        try:
            yield link
        finally:
            try:
                await asyncio.wait_for(link.stop(), STOP_S)
            except (EngineError, asyncio.TimeoutError, asyncio.CancelledError):
                worker.process.kill()
            self.release(worker)

    async def close(self) -> None:
        """End all workers."""
        processes = [worker.process for worker in self.workers if worker.process is not None]
        await asyncio.gather(*(process.end() for process in processes), *self.ending)
        self.workers.clear()
