"""A crew of processes of this machine: one for each device."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess

from fastsvc import children
from fastsvc.convert.report import Entry
from fastsvc.convert.spread.crew import Done, Event, Lost, Ready, Refused
from fastsvc.convert.spread.task import Task
from fastsvc.convert.spread.worker import Worker, WorkerSpec
from fastsvc.errors import FastsvcError

VISIBLE = "CUDA_VISIBLE_DEVICES"
_worker: Worker | None = None  # of a child process


class ProcessCrew:
    """``devices``: cpu, cuda or cuda:N, one process for each; a device may be named more than once."""

    depth, patience_s = 2, 300.0

    def __init__(self, spec: WorkerSpec, devices: Sequence[str], worker: type[Worker] = Worker):
        self.worker = worker
        self.spec, self.devices, self.slots = spec, list(devices), len(devices)
        self.pools: dict[int, children.Pool] = {}
        self.processes: dict[int, list[BaseProcess]] = {}
        self.futures: dict[Future, tuple[int, int | None]] = {}  # → (slot, task; None: the start)

    def start(self, slot: int) -> None:
        device = self.devices[slot]
        threads = 0 if "OMP_NUM_THREADS" in os.environ else max(1, children.cores() // self.slots)
        spec = replace(self.spec, device=device.partition(":")[0], threads=threads)
        pool = children.Pool(1, partial(_begin, self.worker, spec, visible(device)))
        self.pools[slot] = pool
        self.futures[pool.submit(_open)] = slot, None
        self.processes[slot] = list((pool._processes or {}).values())

    def send(self, slot: int, task: Task) -> None:
        try:
            self.futures[self.pools[slot].submit(_work, task)] = slot, task.number
        except BrokenProcessPool as error:  # it died since the last wait, which the next one reports
            broken: Future = Future()
            broken.set_exception(error)
            self.futures[broken] = slot, task.number

    def wait(self, timeout_s: float) -> list[Event]:
        finished = wait(self.futures, timeout_s, FIRST_COMPLETED).done
        # What was finished comes before the loss of its worker, which forgets the rest.
        finished = sorted(finished, key=lambda future: future.exception() is not None)
        return [self._event(future, *self.futures.pop(future)) for future in finished if future in self.futures]

    def _event(self, future: Future, slot: int, task: int | None) -> Event:
        error = future.exception()
        if error is not None:
            if not isinstance(error, BrokenProcessPool):
                raise error
            return self._lost(slot)
        value = future.result()
        if task is not None:
            return Done(slot, task, value)
        if isinstance(value, FastsvcError):
            return Refused(slot, value)
        return Ready(slot, f"{self.devices[slot]} of this machine", **value)

    def _lost(self, slot: int) -> Lost:
        self.futures = {future: place for future, place in self.futures.items() if place[0] != slot}
        self.pools.pop(slot).shutdown(wait=False)
        for process in self.processes[slot]:
            process.join(5)
        codes = [process.exitcode for process in self.processes.pop(slot)]
        return Lost(slot, _cause(next((code for code in codes if code), None)))

    def close(self) -> list[Done]:
        """Processes at work are ended: their results are whole or not there."""
        working = {slot for slot, _ in self.futures.values()}
        for slot, pool in self.pools.items():
            if slot in working:
                for process in self.processes[slot]:
                    process.kill()
            else:
                pool.submit(_close)
            pool.shutdown(wait=True, cancel_futures=slot in working)
        self.futures.clear()
        return []


def visible(device: str) -> str | None:
    """The value of CUDA_VISIBLE_DEVICES for a process with cuda:N alone; None: unchanged. N counts, as everywhere, the
    devices that are visible now."""
    kind, _, number = device.partition(":")
    if kind != "cuda" or not number:
        return None
    now = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return now[int(number)] if int(number) < len(now) else number


def _cause(code: int | None) -> str:
    if code is None:
        return "its process ended"
    if code > 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    memory = ", perhaps by the system for lack of memory" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"


def _begin(worker: type[Worker], spec: WorkerSpec, gpu: str | None) -> None:
    global _worker
    if gpu is not None:
        assert "torch" not in sys.modules or not sys.modules["torch"].cuda.is_initialized()
        os.environ[VISIBLE] = gpu
    _worker = worker(spec)


def _open() -> dict | FastsvcError:
    assert _worker is not None
    return _worker.open()


def _work(task: Task) -> dict[int, Entry]:
    assert _worker is not None
    return _worker.work(task)


def _close() -> None:
    assert _worker is not None
    _worker.close()
