"""`fastsvc serve` as people start it: a process of its own on a free port, with a home of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import engines
import httpx

from bench.serve_load import descendants
from fastsvc.artifact.bundled import VOICES
from fastsvc.artifact.engine_folder import Artifact

ENDS = {"done", "failed", "cancelled"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A running server. ``home``: its data folder; ``options``: of the command; ``log``: what it printed."""

    def __init__(self, home: Path, *options, engines=(), **environment):
        self.home, self.port, self.log = Path(home), free_port(), Path(f"{home}.log")
        self.command = [sys.executable, "-m", "fastsvc", "serve", *map(str, engines), "--home", str(home)]
        self.command += ["--port", str(self.port), "--no-open", *map(str, options)]
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=60)
        self.start()

    def start(self) -> None:
        """Start it, also again after its end, and wait until it is ready."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.environment)
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                if self.client.get("/readyz").status_code == 200:
                    return
            assert self.process.poll() is None, self.log.read_text(errors="replace")
            assert time.monotonic() < end, "the server is not ready after a minute: " + self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self.client.close()

    def api(self, path: str) -> str:
        return f"{self.url}/api/v1{path}"

    def submit(self, *files, client=None, **options) -> list[dict]:
        """The jobs of recordings: paths, or (name, bytes)."""
        parts = [("file", (path.name, path.read_bytes()) if isinstance(path, Path) else path) for path in files]
        answer = (client or self.client).post(self.api("/jobs"), files=parts, data={"options": json.dumps(options)})
        assert answer.status_code == 202, answer.text
        return answer.json()["jobs"]

    def job(self, id: str) -> dict:
        answer = self.client.get(self.api(f"/jobs/{id}"))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait(self, id: str, until=ENDS, seconds: float = 60) -> dict:
        """The job once its state is one of ``until``, or ``until(job)`` is true."""
        reached = until if callable(until) else lambda job: job["state"] in until
        end = time.monotonic() + seconds
        while not reached(job := self.job(id)):
            assert time.monotonic() < end, job
            time.sleep(0.02)
        return job

    def result(self, job: dict) -> bytes:
        assert job["state"] == "done", job
        answer = self.client.get(job["result"]["url"])
        assert answer.status_code == 200, answer.text
        return answer.content

    def workers(self) -> list[int]:
        """Process ids of the processes that it started, without the one that cleans up behind them. Linux only."""
        return [pid for pid in descendants(self.process.pid) if "resource_tracker" not in command_of(pid)]


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def checkpoint(folder: Path) -> Path:
    """A checkpoint: a small denoiser of random weights, for content encoder and vocoder of the bundled voices."""
    demo = Artifact(VOICES).manifest.acoustic
    condition = replace(engines.ACOUSTIC.condition, unit_channels=demo.features.unit_channels)
    config = replace(engines.ACOUSTIC, features=demo.features, mel=demo.mel, condition=condition)
    return engines.native(folder / "voice.pt", "student", config)
