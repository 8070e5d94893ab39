"""The clients of bench/serve.py, the server that they load, and its memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np

ENDS = ("done", "failed", "cancelled")
SAMPLE_S = 1.0  # between looks at memory
PROBE_S = 0.1
READY_S = 120
LONGEST_S = 600  # of waiting for one job: then it is lost


@contextlib.contextmanager
def server(model: Path, home: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """Its address and process; ended by SIGTERM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fastsvc", "serve", str(model), "--home", str(home), "--port", str(port)]
    process = subprocess.Popen([*command, "--no-open"], stdout=subprocess.DEVNULL)
    try:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + READY_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/readyz").status_code == httpx.codes.OK:
                    break
            if process.poll() is not None or time.monotonic() > end:
                raise TimeoutError("fastsvc serve did not start")
            time.sleep(0.1)
        yield url, process
        process.terminate()
        process.wait(60)
    finally:
        process.kill()
        process.wait()


class Load:
    """``jobs`` conversions, in turn of the recordings ``files``; the results must be ``wanted``. Both: name → bytes."""

    def __init__(self, url: str, engine: str, voice: str, files: dict, wanted: dict, jobs: int):
        self.url, self.files, self.wanted, self.jobs = url, list(files.items()), wanted, jobs
        self.options = json.dumps({"engine": engine, "speaker": voice})
        self.begun = self.done = self.lost = self.wrong = self.refused = 0
        self.waits_s, self.accepts_s, self.probes_s, self.memory = [], [], [], []

    def run(self, clients: int, pid: int) -> dict:
        """The figures."""
        start = time.perf_counter()
        asyncio.run(self._run(clients, pid))
        wall_s = time.perf_counter() - start
        return {
            "done": self.done,
            "lost": self.lost,
            "wrong": self.wrong,
            "refused": self.refused,
            "wall_s": round(wall_s, 1),
            "jobs_a_second": round(self.done / wall_s, 2),
            "wait_s": quantiles(self.waits_s, 1),
            "accept_ms": quantiles(self.accepts_s, 1000),
            "voices_ms": quantiles(self.probes_s, 1000),
            "resident_mb": self._memory(),
        }

    async def _run(self, clients: int, pid: int) -> None:
        # Connections are not kept for longer than the server keeps them, lest it closes one while it is used again.
        limits = httpx.Limits(max_connections=2 * clients + 2, keepalive_expiry=1.0)
        async with httpx.AsyncClient(base_url=self.url, timeout=LONGEST_S, limits=limits) as client:
            beside = [asyncio.create_task(work) for work in (self._probe(client), self._watch(pid))]
            await asyncio.gather(*(self._client(client) for _ in range(clients)))
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _client(self, client: httpx.AsyncClient) -> None:
        while self.begun < self.jobs:
            name, content = self.files[self.begun % len(self.files)]
            self.begun += 1
            try:
                await self._job(client, name, content)
            except (httpx.HTTPError, TimeoutError) as error:
                print(f"{name}: {error!r}", file=sys.stderr)
                self.lost += 1

    async def _job(self, client: httpx.AsyncClient, name: str, content: bytes) -> None:
        start = time.perf_counter()
        while True:
            files = {"file": (name, content)}
            answer = await client.post("/api/v1/jobs", files=files, data={"options": self.options})
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            self.refused += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        answer.raise_for_status()
        self.accepts_s.append(time.perf_counter() - start)
        (job,) = answer.json()["jobs"]
        job = await self._end(client, job)
        if job["state"] != "done":
            print(f"{name}: {job['error']}", file=sys.stderr)
            self.lost += 1
            return
        result = await client.get(job["result"]["url"])
        self.waits_s.append(time.perf_counter() - start)
        self.done += 1
        self.wrong += result.content != self.wanted[name]

    async def _end(self, client: httpx.AsyncClient, job: dict) -> dict:
        """The job when it is over, by its stream of events."""
        async with client.stream("GET", f"/api/v1/jobs/{job['id']}/events") as events:
            async for line in events.aiter_lines():
                if line.startswith("data:"):
                    job = {**job, **json.loads(line[5:])}  # the last event of all is empty
        if job["state"] not in ENDS:
            raise httpx.RemoteProtocolError(f"the events end while the job is {job['state']}")
        return job

    async def _probe(self, client: httpx.AsyncClient) -> None:
        while True:
            start = time.perf_counter()
            (await client.get("/api/v1/voices")).raise_for_status()
            self.probes_s.append(time.perf_counter() - start)
            await asyncio.sleep(PROBE_S)

    async def _watch(self, pid: int) -> None:
        while True:
            self.memory.append((self.done, resident_mb([pid]), resident_mb(descendants(pid))))
            await asyncio.sleep(SAMPLE_S)

    def _memory(self) -> dict:
        """Of the server and of its workers, in MiB: once a fifth of the jobs is done, at the end, and the most."""
        later = [sample for sample in self.memory if sample[0] >= self.jobs // 5] or self.memory
        names = {"server": 1, "workers": 2}
        return {
            name: {
                "after_a_fifth": later[0][place],
                "at_the_end": later[-1][place],
                "most": max(sample[place] for sample in self.memory),
            }
            for name, place in names.items()
        }


def quantiles(seconds: list[float], factor: float) -> dict:
    """p50, p99 and the longest, times ``factor``."""
    if not seconds:
        return {}
    values = np.percentile(seconds, [50, 99, 100]) * factor
    return {name: round(float(value), 2 if factor == 1 else 1) for name, value in zip(("p50", "p99", "most"), values)}


def descendants(pid: int) -> list[int]:
    """Process ids below ``pid``, by /proc."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found, front = [], [pid]
    while front:
        front = [child for child, parent in parents.items() if parent in front]
        found += front
    return found


def resident_mb(pids: list[int]) -> float:
    """Memory of processes, without what they share with others of the same program counted anew: their own pages."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
            total += (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
    return round(total / 2**20, 1)
