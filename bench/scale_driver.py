"""What a recording costs the driver of many workers: planning, sending, the report."""

from __future__ import annotations

import time

from bench.scale_engine import FixedCostEngine
from fastsvc.convert.report import DONE, Entry
from fastsvc.convert.settings import ConversionSettings
from fastsvc.convert.spread import run
from fastsvc.convert.spread.crew import Done, Ready
from fastsvc.convert.spread.remote_plan import spread_plan
from fastsvc.engine import Request
from fastsvc.remote import Folder


class InstantCrew:
    """Workers that are done at once, so that only the driver's own work is left."""

    slots, depth, patience_s = 100, 2, 60.0

    def __init__(self):
        self.events: list = []

    def start(self, slot):
        self.events.append(Ready(slot, "here", f"process {slot}"))

    def send(self, slot, task):
        entries = {job.number: Entry(job.source, job.target, DONE) for job in task.jobs}
        self.events.append(Done(slot, task.number, entries))

    def wait(self, timeout_s):
        events, self.events = self.events, []
        return events

    def close(self):
        return []


def driving(files: int) -> dict:
    """Milliseconds of the processor a file, for the driver alone, with names in an object store (in memory)."""
    folder = Folder("memory://scale/in")
    for number in range(files):
        folder.write(f"{number % 100}/{number}.wav", b"x")
    start = time.process_time()
    plan = spread_plan(["memory://scale/in"], "memory://scale/out")
    planned = time.process_time()
    report, _ = run.run(FixedCostEngine(0.0), plan, [ConversionSettings(Request("anna"))] * files, InstantCrew)
    assert report.count(DONE) == files
    cpu_s = time.process_time() - planned
    return {"files": files, "plan_ms": round(1e3 * (planned - start) / files, 3), "ms": round(1e3 * cpu_s / files, 3)}
