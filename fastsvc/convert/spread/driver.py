"""The loop that gives tasks to workers and takes their results; a lost worker's tasks are sent again."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from fastsvc.convert.report import FAILED, Entry
from fastsvc.convert.spread.crew import Crew, Done, Event, Lost, Ready, Refused
from fastsvc.convert.spread.task import SpreadJob, Task
from fastsvc.errors import FastsvcError, ResourceError

DEATHS = 3  # workers that a recording may cost: afterwards it has failed
WAIT_S = 1.0


class Driver:
    """``done(job, entry)`` is called for each recording once; ``sent(job)`` before it is sent, each time.

    ``lost``: (process, jobs) of workers that were lost, in which temporaries may be left.
    """

    def __init__(
        self,
        crew: Crew,
        tasks: Sequence[Task],
        done: Callable[[SpreadJob, Entry], None],
        sent: Callable[[SpreadJob], None] = lambda job: None,
    ):
        self.crew, self.done, self.sent = crew, done, sent
        self.fresh, self.suspects = deque(tasks), deque[Task]()
        self.at: dict[int, dict[int, Task]] = defaultdict(dict)  # what each slot was sent and has not answered
        self.ready: dict[int, Ready] = {}
        self.starts = dict.fromkeys(range(crew.slots), 0)  # of slots in use: starts since they were last ready
        self.deaths: dict[int, list[str]] = defaultdict(list)  # by a recording's number: where and why
        self.lost: list[tuple[str, list[SpreadJob]]] = []
        self.numbers = max((task.number for task in tasks), default=-1) + 1
        self.cause, self.waiting_since = "", time.monotonic()
        self.notes: list[str] = []

    def run(self) -> None:
        """Until each recording has its entry. Raises KeyboardInterrupt; the error of an engine that no worker can open,
        ResourceError where no worker starts: both before anything is converted, later they become failures."""
        try:
            for slot in self.starts:
                self.crew.start(slot)
            while self._unfinished():
                for slot in self.ready:
                    self._feed(slot)
                for event in self.crew.wait(WAIT_S):
                    self._handle(event)
                self._look_for_workers()
        finally:
            for event in self.crew.close():
                self._handle(event)
            for slot, worker in self.ready.items():  # after an interruption
                if self.at[slot]:
                    self.lost.append((worker.process, [job for task in self.at[slot].values() for job in task.jobs]))

    def _unfinished(self) -> bool:
        return bool(self.fresh or self.suspects or any(self.at.values()))

    def _feed(self, slot: int) -> None:
        """Fill the slot. What has cost a worker comes last and alone, so that it takes nothing with it and the next
        death says which one it was."""
        at = self.at[slot]
        if any(self.deaths[job.number] for task in at.values() for job in task.jobs):
            return
        while self.fresh and len(at) < self.crew.depth:
            self._send(slot, self.fresh.popleft())
        if not at and self.suspects:
            self._send(slot, self.suspects.popleft())

    def _send(self, slot: int, task: Task) -> None:
        for job in task.jobs:
            self.sent(job)
        self.at[slot][task.number] = task
        self.crew.send(slot, task)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Ready):
            self.ready[event.slot] = event
            self.starts[event.slot] = 0
        elif isinstance(event, Done):
            task = self.at[event.slot].pop(event.task, None)
            for job in task.jobs if task else ():
                if job.number in event.entries:
                    self.done(job, event.entries[job.number])
        elif isinstance(event, Refused):
            self.cause = str(event.error)
            self.notes.append(f"a worker does not start: {event.error}")
            del self.starts[event.slot]
            if not self.starts and not self.ready:
                self._give_up(event.error)
        else:
            self._lose(event)

    def _lose(self, event: Lost) -> None:
        worker, tasks = self.ready.pop(event.slot, None), list(self.at.pop(event.slot, {}).values())
        self.waiting_since = time.monotonic()
        self.cause = f"{worker.where}: {event.cause}" if worker else event.cause
        if worker is not None:
            self.lost.append((worker.process, [job for task in tasks for job in task.jobs]))
        for task in tasks:
            for job in task.jobs:  # one by one from now on
                self.deaths[job.number].append(self.cause)
                if len(self.deaths[job.number]) < DEATHS:
                    self.suspects.append(replace(task, number=self._number(), jobs=(job,)))
                else:
                    self._fail(job, task, f"{DEATHS} workers died while it was converted, the last on {self.cause}")
        self.notes.append(f"a worker was lost: {self.cause}")
        self.starts[event.slot] += 1
        if self.starts[event.slot] > DEATHS:  # it never gets ready
            del self.starts[event.slot]
        else:
            self.crew.start(event.slot)

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    def _look_for_workers(self) -> None:
        """Give up where no worker is left, or none has been ready for long."""
        if self.ready:
            self.waiting_since = time.monotonic()
        elif not self.starts or time.monotonic() - self.waiting_since > self.crew.patience_s:
            why = self.cause or f"none was ready within {self.crew.patience_s:.0f} s"
            self._give_up(ResourceError(f"no worker is left: {why}", "see to the machines, and run the command again"))

    def _give_up(self, error: FastsvcError) -> None:
        if not self.lost:
            self.fresh.clear()
            self.suspects.clear()
            raise error
        for queue in (self.suspects, self.fresh):
            while queue:
                task = queue.popleft()
                for job in task.jobs:
                    self._fail(job, task, str(error))

    def _fail(self, job: SpreadJob, task: Task, reason: str) -> None:
        text = f"{reason} (convert it alone to see why)" if self.deaths[job.number] else reason
        self.done(job, Entry(job.source, job.target, FAILED, text, speaker=task.settings.voice))
