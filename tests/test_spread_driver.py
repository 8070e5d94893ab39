"""The loop over workers, with a crew that dies as it is told to."""

from collections import deque

import pytest
from fake_engine import settings

from fastsvc.convert.report import DONE, FAILED, Entry
from fastsvc.convert.spread.crew import Done, Lost, Ready, Refused
from fastsvc.convert.spread.driver import Driver
from fastsvc.convert.spread.task import MOST_WEIGHT, SpreadJob, Task, tasks_of
from fastsvc.errors import EngineError, ResourceError

ANNA = settings()


def jobs(*sizes):
    return [SpreadJob(n, f"{n}.wav", f"out/{n}.wav", f"{n}.wav", "wav", size) for n, size in enumerate(sizes)]


def tasks(*sizes):
    return [Task(job.number, (job,), ANNA) for job in jobs(*sizes)]


class ScriptedCrew:
    """``kills(job, attempt)``: whether that recording takes its worker with it; ``starts``: what a start gives, by how
    often the slot was started."""

    depth, patience_s = 2, 60.0

    def __init__(self, slots=2, kills=lambda number, attempt: False, starts=lambda slot, count: None):
        self.slots, self.kills, self.starts = slots, kills, starts
        self.events, self.queues, self.counts = deque(), {}, {}
        self.attempts, self.order, self.alone = {}, [], []

    def start(self, slot):
        self.counts[slot] = self.counts.get(slot, 0) + 1
        self.queues[slot] = deque()
        self.events.append(self.starts(slot, self.counts[slot]) or Ready(slot, f"node {slot}", f"p{slot}"))

    def send(self, slot, task):
        self.queues[slot].append(task)
        assert len(self.queues[slot]) <= self.depth

    def wait(self, timeout_s):
        if self.events:
            return [self.events.popleft()]
        for slot, queue in self.queues.items():
            if queue:
                task, waiting = queue.popleft(), len(queue)
                for job in task.jobs:
                    self.attempts[job.number] = self.attempts.get(job.number, 0) + 1
                    self.order.append(job.number)
                    if self.kills(job.number, self.attempts[job.number]):
                        self.alone.append(not waiting)
                        queue.clear()
                        return [Lost(slot, "killed by signal 9")]
                return [Done(slot, task.number, {job.number: Entry(job.source, job.target, DONE) for job in task.jobs})]
        return []

    def close(self):
        return []


def driven(crew, some):
    entries = {}

    def done(job, entry):
        assert job.number not in entries, "an entry twice"
        entries[job.number] = entry

    driver = Driver(crew, some, done)
    driver.run()
    return driver, entries


def test_longest_first_and_several_in_one_task():
    made = tasks_of(zip(jobs(10, 30, 20, MOST_WEIGHT, 5), [ANNA] * 5), 2)
    assert [[job.number for job in task.jobs] for task in made] == [[3], [1, 2], [0, 4]]
    other = settings("bert")
    made = tasks_of(zip(jobs(4, 3, 2, 1), [ANNA, ANNA, other, other]), 16)
    assert [(len(task.jobs), task.settings) for task in made] == [(2, ANNA), (2, other)]
    flac = SpreadJob(0, "a.FLAC", "", "", "wav", 10)
    assert flac.weight == 20 and tasks_of([], 3) == []


def test_all_are_done_once():
    _, entries = driven(ScriptedCrew(3), tasks(*range(20)))
    assert sorted(entries) == list(range(20)) and {entry.status for entry in entries.values()} == {DONE}


def test_what_was_lost_is_sent_again_last_and_alone():
    crew = ScriptedCrew(2, kills=lambda number, attempt: number == 2 and attempt == 1)
    driver, entries = driven(crew, tasks(*[1] * 8))
    assert {entry.status for entry in entries.values()} == {DONE} and len(entries) == 8
    assert crew.attempts[2] == 2 and set(crew.order[-2:]) >= {2}
    assert [process for process, _ in driver.lost] == ["p0"] or driver.lost[0][0] == "p1"
    assert "a worker was lost: node" in driver.notes[0]


def test_a_recording_that_kills_its_workers_fails_after_three():
    crew = ScriptedCrew(2, kills=lambda number, attempt: number == 3)
    _, entries = driven(crew, tasks(*[1] * 8))
    assert [number for number, entry in entries.items() if entry.status == FAILED] == [3]
    assert "3 workers died while it was converted, the last on node" in entries[3].reason
    assert "killed by signal 9" in entries[3].reason and crew.attempts[3] == 3
    assert crew.alone[1:] == [True, True]  # so that its neighbours are not suspected again
    assert max(crew.attempts[number] for number in range(8) if number != 3) <= 2


def test_a_task_of_several_falls_apart_when_it_is_lost():
    both = Task(0, tuple(jobs(1, 1, 1)), ANNA)
    crew = ScriptedCrew(1, kills=lambda number, attempt: number == 1)
    _, entries = driven(crew, [both])
    assert [entries[number].status for number in range(3)] == [DONE, FAILED, DONE]


def test_an_engine_that_cannot_be_opened():
    error = EngineError("x.fsvc: damaged")
    with pytest.raises(EngineError, match="damaged"):
        driven(ScriptedCrew(2, starts=lambda slot, count: Refused(slot, error)), tasks(1, 2))
    driver, entries = driven(
        ScriptedCrew(2, starts=lambda slot, count: Refused(1, error) if slot else None), tasks(1, 2)
    )
    assert len(entries) == 2 and driver.notes == ["a worker does not start: x.fsvc: damaged"]


def test_workers_that_die_before_they_are_ready():
    with pytest.raises(ResourceError, match="no worker is left: out of memory"):
        driven(ScriptedCrew(1, starts=lambda slot, count: Lost(0, "out of memory")), tasks(1, 2))


def test_no_worker_is_left_in_the_middle():
    """What is left has failed; what was done stays."""
    crew = ScriptedCrew(
        1,
        kills=lambda number, attempt: number == 1,
        starts=lambda slot, count: Lost(0, "gone") if count > 1 else None,
    )
    _, entries = driven(crew, tasks(1, 1, 1))
    assert [entries[number].status for number in range(3)] == [DONE, FAILED, FAILED]
    assert "no worker is left" in entries[2].reason


def test_ctrl_c_ends_the_workers():
    crew = ScriptedCrew(1)

    def done(job, entry):
        raise KeyboardInterrupt

    closed = []
    crew.close = lambda: closed.append(True) or []
    driver = Driver(crew, tasks(1, 1, 1), done)
    with pytest.raises(KeyboardInterrupt):
        driver.run()
    assert closed and driver.lost[0][0] == "p0"
