"""Servers for tests: within this process, and as a process of their own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
from fastapi.testclient import TestClient

from fastsvc.serve.app import create_app
from fastsvc.serve.settings import ServeSettings

PROGRAM = """
import json, logging, sys
from fastsvc.serve.server import run
from fastsvc.serve.settings import ServeSettings
logging.basicConfig(level=logging.INFO)
run(ServeSettings(port=0, warm=False, **json.loads(sys.argv[1])), lambda address: print(address, flush=True))
print("ended", flush=True)
"""


@contextlib.contextmanager
def client(home: Path, *engines: Path, **limits):
    """A client of a server in this process; ``client.app.state.service`` is its service."""
    settings = ServeSettings(home=home, engines=engines, **{"warm": False, **limits})
    with TestClient(create_app(settings), "http://127.0.0.1", raise_server_exceptions=False) as inside:
        yield inside


class Server:
    """A server process. ``preexec``: run in it before it starts."""

    def __init__(self, home: Path, *engines: Path, preexec=None, **limits):
        settings = {"home": str(home), "engines": [str(path) for path in engines], **limits}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=preexec,  # noqa: PLW1509
        )
        line = self.process.stdout.readline()
        assert line.startswith("http"), line + self.process.stderr.read()
        self.client = httpx.Client(base_url=line.strip(), timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.client.close()
        self.process.kill()
        self.process.communicate()

    def workers(self) -> list[int]:
        """Process ids of its workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in path.read_text().split()]


def sent(client, *recordings: Path, code=202, **options) -> list[dict]:
    """The jobs of a request with these recordings and options."""
    parts = [("file", (path.name, path.read_bytes())) for path in recordings]
    answer = client.post("/api/v1/jobs", files=parts, data={"options": json.dumps(options)})
    assert answer.status_code == code, answer.text
    return answer.json()["jobs"] if code == 202 else answer.json()["error"]


def state(client, job: dict) -> dict:
    return client.get(f"/api/v1/jobs/{job['id']}").json()


def awaited(client, job: dict, *states: str, seconds: float = 60.0) -> dict:
    """The job, as soon as it is in one of these states (default: over)."""
    deadline = time.monotonic() + seconds
    while True:
        now = state(client, job)
        if now["state"] in (states or ("done", "failed", "cancelled")):
            return now
        assert time.monotonic() < deadline, now
        time.sleep(0.02)
