"""A whole run over workers: what is settled, the tasks, the loop, the report in the plan's order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from fastsvc import files
from fastsvc.convert.report import FAILED, ConversionReport, Entry
from fastsvc.convert.settings import ConversionSettings
from fastsvc.convert.spread.crew import Crew
from fastsvc.convert.spread.driver import Driver
from fastsvc.convert.spread.remote_plan import SpreadPlan
from fastsvc.convert.spread.settle import settled
from fastsvc.convert.spread.task import SpreadJob, Task, tasks_of
from fastsvc.remote import is_url

IN_WORK = "in_work"  # in the cache folder: lists for output folders by URL


def run(
    engine,
    plan: SpreadPlan,
    settings: Sequence[ConversionSettings],
    crew: Callable[[], Crew],
    on_entry: Callable[[ConversionReport, Entry], None] = lambda report, entry: None,
    on_done: Callable[[SpreadJob, Entry], None] = lambda job, entry: None,
    most: int = 1,
    in_work_name: str = files.IN_WORK,
) -> tuple[ConversionReport, list[str]]:
    """(report, notes about workers). ``settings``: of each job; jobs with equal settings share one object.

    ``crew``: makes the workers, and is called if there is something to do; ``most``: recordings in one task;
    ``on_entry``, ``on_done``: called as recordings are finished, in any order. The report has the plan's order. Ctrl-C
    ends the run as in batch.run. Raises OutputError where lists of results cannot be kept, and what Driver.run raises.
    """
    report = ConversionReport(planned=len(plan.jobs) + len(plan.problems))
    numbers: dict[int, int] = {}  # of entries, by identity
    in_work = files.InWork(_in_work_folder(plan.out), in_work_name)

    def add(entry: Entry, number: int) -> None:
        numbers[id(entry)] = number
        report.entries.append(entry)
        on_entry(report, entry)

    def done(job: SpreadJob, entry: Entry) -> None:
        in_work.end(job.source)
        add(entry, job.number)
        on_done(job, entry)

    driver = None
    try:
        for path, reason in plan.problems:
            add(Entry(path, "", FAILED, reason), -1)
        remaining = []
        for pair, entry in settled(engine, plan.out, zip(plan.jobs, settings), plan.sources):
            if entry is None:
                remaining.append(pair)
            else:
                done(pair[0], entry)
        first, last = in_work.ordered(remaining, lambda pair: pair[0].source)
        tasks = tasks_of(first, most)
        if remaining:
            driver = Driver(crew(), tasks, done, lambda job: in_work.begin(job.source))
            driver.numbers += len(last)
            driver.suspects.extend(Task(driver.numbers - i, (job,), kept) for i, (job, kept) in enumerate(last))
            driver.run()
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        if driver is not None:
            _clear(plan.out, driver.lost)
        in_work.close()
    report.entries.sort(key=lambda entry: numbers[id(entry)])
    return report, [] if driver is None else driver.notes


def _clear(out: str, lost: list[tuple[str, list[SpreadJob]]]) -> None:
    """Remove the temporaries of lost workers beside the results that they were writing."""
    if not is_url(out):
        for process, jobs in lost:
            files.clear_process({Path(job.target).parent for job in jobs}, process)


def _in_work_folder(out: str) -> Path:
    """Where the list of files in work lies; for a folder by URL on this machine, as it must be quick."""
    if not is_url(out):
        return Path(out)
    return files.cache_folder() / IN_WORK / hashlib.sha256(out.rstrip("/").encode()).hexdigest()[:16]
