"""What the driver sees of workers: slots that are started, sent tasks and lost; and the crew of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from fastsvc.convert.report import Entry
from fastsvc.convert.spread.task import Task
from fastsvc.convert.spread.worker import Staged, Worker
from fastsvc.errors import FastsvcError


@dataclass(frozen=True)
class Ready:
    """The slot's engine is open. ``where``: its machine, for people; ``process``: as in fastsvc.files."""

    slot: int
    where: str
    process: str
    shares_batches: bool = False


@dataclass(frozen=True)
class Done:
    """A task's entries by the recordings' numbers; fewer where the run was interrupted."""

    slot: int
    task: int
    entries: dict[int, Entry]


@dataclass(frozen=True)
class Lost:
    """The slot's worker is gone, and all that it was sent with it."""

    slot: int
    cause: str


@dataclass(frozen=True)
class Refused:
    """The slot's engine cannot be opened, which another try would not change."""

    slot: int
    error: FastsvcError


Event = Ready | Done | Lost | Refused


class Crew(Protocol):
    """``depth``: most tasks that one slot is sent at a time; ``patience_s``: seconds for which no slot may be ready."""

    slots: int
    depth: int
    patience_s: float

    def start(self, slot: int) -> None:
        """Start a worker, again after Lost. Ready, Lost or Refused follows."""

    def send(self, slot: int, task: Task) -> None: ...

    def wait(self, timeout_s: float) -> list[Event]:
        """What happened; waits for the first event, at most so long."""
        ...

    def close(self) -> list[Done]:
        """End all workers; what was finished meanwhile."""
        ...


class HereCrew:
    """One worker in this process, for files by URL: others are fetched and put while one task is converted."""

    slots, depth, patience_s = 1, 3, 60.0  # one is fetched, one converted, one put

    def __init__(self, worker: Worker, progress: Callable[[float], None] = lambda recordings: None):
        self.worker, self.progress = worker, progress
        self.pool = ThreadPoolExecutor(2, "stage")
        self.fetching: deque[tuple[int, Future[Staged]]] = deque()
        self.putting: deque[tuple[int, Future[dict[int, Entry]]]] = deque()
        self.started: deque[Event] = deque()

    def start(self, slot: int) -> None:
        info = self.worker.open()
        if isinstance(info, FastsvcError):
            self.started.append(Refused(slot, info))
        else:
            self.started.append(Ready(slot, "this machine", info["process"], info["shares_batches"]))

    def send(self, slot: int, task: Task) -> None:
        self.fetching.append((task.number, self.pool.submit(self.worker.fetch, task)))

    def wait(self, timeout_s: float) -> list[Event]:
        if self.started:
            return [self.started.popleft()]
        if self.fetching:
            number, future = self.fetching.popleft()
            staged = future.result()
            try:
                self.worker.convert(staged, self.progress)
            finally:  # after Ctrl-C what is converted is put
                self.putting.append((number, self.pool.submit(self.worker.publish, staged)))
        last = not self.fetching
        events: list[Event] = []
        while self.putting and (last or self.putting[0][1].done()):
            number, publishing = self.putting.popleft()
            events.append(Done(0, number, publishing.result()))
        return events

    def close(self) -> list[Done]:
        for _, future in self.fetching:
            future.cancel()
        done = [Done(0, number, future.result()) for number, future in self.putting]
        self.pool.shutdown()
        self.worker.close()
        return done
