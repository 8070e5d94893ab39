"""A crew of Ray's actors, each with an engine of its own. Only paths and reports go through Ray, never audio."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from fastsvc.convert.spread import ray_cluster
from fastsvc.convert.spread.crew import Done, Event, Lost, Ready, Refused
from fastsvc.convert.spread.task import Task
from fastsvc.convert.spread.worker import Worker, WorkerSpec
from fastsvc.errors import FastsvcError

CLOSE_S = 5.0  # seconds for which idle workers may tidy up


class ClusterWorker(Worker):
    """A worker that knows its machine."""

    def where(self) -> str:
        """Its node, for people."""
        import ray  # pyright: ignore[reportMissingImports]  # of the extra ray

        node = ray.get_runtime_context().get_node_id()
        return f"node {ray.util.get_node_ip_address()} ({node[:8]}), process {os.getpid()}"


class RayCrew:
    """``workers`` actors with ``gpus`` each, on a cluster that fastsvc.convert.spread.ray_cluster has connected.

    Ray restarts nothing and sends nothing twice here: whether a task that was lost is tried again is for the driver.
    """

    depth, patience_s = 2, 300.0

    def __init__(self, spec: WorkerSpec, workers: int, gpus: float, worker: type[ClusterWorker] | None = None):
        import ray  # pyright: ignore[reportMissingImports]  # of the extra ray

        self.ray, self.spec, self.slots = ray, spec, workers
        # Two threads: one task is fetched or put while the other is converted.
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 2}
        self.actor = ray.remote(**options)(worker or ClusterWorker)
        self.actors: dict[int, Any] = {}
        self.where: dict[int, str] = {}
        self.refs: dict[Any, tuple[int, int | str]] = {}  # → (slot, task; or "where", "open": the start)

    def start(self, slot: int) -> None:
        self.actors[slot] = self.actor.remote(self.spec)
        self.refs[self.actors[slot].where.remote()] = slot, "where"

    def send(self, slot: int, task: Task) -> None:
        self.refs[self.actors[slot].work.remote(task)] = slot, task.number

    def wait(self, timeout_s: float) -> list[Event]:
        if not self.refs:
            time.sleep(min(timeout_s, 0.1))
            return []
        refs = list(self.refs)
        finished, _ = self.ray.wait(refs, num_returns=1, timeout=timeout_s)
        if finished:
            finished, _ = self.ray.wait(refs, num_returns=len(refs), timeout=0)
        events: list[Event] = []
        losses: dict[int, Lost] = {}
        for ref in finished:
            slot, what = self.refs.pop(ref)
            try:
                value = self.ray.get(ref)
            except self.ray.exceptions.RayTaskError:
                raise  # a fault of ours: the worker lives
            except self.ray.exceptions.RayError as error:
                losses.setdefault(slot, Lost(slot, ray_cluster.cause(error)))
                continue
            if what == "where":
                self.where[slot] = value
                self.refs[self.actors[slot].open.remote()] = slot, "open"
            elif what != "open":
                events.append(Done(slot, int(what), value))
            elif isinstance(value, FastsvcError):
                events.append(Refused(slot, value))
            else:
                events.append(Ready(slot, self.where[slot], **value))
        for slot in losses:
            self._forget(slot)
        return [*events, *losses.values()]  # what was finished comes before the loss of its worker

    def _forget(self, slot: int) -> None:
        """No answer of the actor counts any more, even if it was only out of reach."""
        self.refs = {ref: place for ref, place in self.refs.items() if place[0] != slot}
        with contextlib.suppress(Exception):
            self.ray.kill(self.actors.pop(slot))

    def close(self) -> list[Done]:
        working = {slot for slot, _ in self.refs.values()}
        with contextlib.suppress(Exception):
            idle = [actor.close.remote() for slot, actor in self.actors.items() if slot not in working]
            self.ray.wait(idle, num_returns=len(idle), timeout=CLOSE_S) if idle else None
        for slot in list(self.actors):
            self._forget(slot)
        return []
