"""`fastsvc serve` as real processes: equal to the command line; kill -9, SIGTERM, a full disk, clients that go."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import put, tone
from servers import Server, alive
from sockets import until

from bench.serve_load import descendants

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc"),
]
ROOT = Path(__file__).parent.parent
SONG = ROOT / "examples" / "recordings" / "singing" / "viktor.wav"
SPEAKER = "slt"
UPLOADS = 20
FULL = re.compile("No space left on device|the disk is full")
LORIS = 40  # connections that never finish a request


def cut(path: Path, start: float, seconds: float) -> Path:
    """A part of a sung recording; repeated where it is longer than that."""
    audio, rate_hz = soundfile.read(SONG, dtype="float32")
    audio = np.roll(np.tile(audio, int(np.ceil(seconds * rate_hz / len(audio)))), -int(start * rate_hz))
    return put(path, audio[None, : int(seconds * rate_hz)], rate_hz)


def converted(folder: Path, out: Path) -> dict[str, bytes]:
    """What `fastsvc convert` makes of a folder: name → bytes."""
    command = [sys.executable, "-m", "fastsvc", "convert", folder, "--spk", SPEAKER, "-o", out, "-q"]
    subprocess.run(list(map(str, command)), check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120)
    return {path.name: path.read_bytes() for path in out.rglob("*.wav")}


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """(recordings by name, what the command line makes of them): twenty short ones, and a long one."""
    folder = tmp_path_factory.mktemp("songs")
    for number in range(UPLOADS):
        cut(folder / "in" / f"{number}.wav", number / 3, 0.4 + number / 40)
    cut(folder / "in" / "long.wav", 0, 15)
    return {path.name: path for path in (folder / "in").iterdir()}, converted(folder / "in", folder / "out")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("serve") / "home") as server:
        yield server


def running(job) -> bool:
    return job["state"] == "running" and job["progress"] > 0


def error_of(job) -> dict:
    """The error of a failed job: three texts of one line, without a path."""
    assert job["state"] == "failed", job
    error = job["error"]
    assert set(error) == {"what", "why", "remedy"} and error["what"]
    assert all("\n" not in text and "/" not in text and "Traceback" not in text for text in error.values())
    return error


def test_parallel_uploads_equal_the_command_line_beside_clients_that_never_finish(server, songs):
    recordings, wanted = songs
    paths = [recordings[f"{number}.wav"] for number in range(UPLOADS)]
    lazy = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(LORIS)]
    for number, connection in enumerate(lazy):
        connection.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"a" * number)
    with ThreadPoolExecutor(UPLOADS) as pool:
        jobs = list(pool.map(lambda path: server.submit(path, speaker=SPEAKER)[0], paths))
        results = list(pool.map(lambda job: server.result(server.wait(job["id"])), jobs))
    assert len({job["id"] for job in jobs}) == UPLOADS
    assert [name for name, result in zip((path.name for path in paths), results) if result != wanted[name]] == []
    with open(paths[0], "rb") as file:  # the same by one request
        answer = server.client.post(
            server.api("/convert"), files={"file": file}, data={"options": json.dumps({"speaker": SPEAKER})}
        )
    assert answer.status_code == 200 and answer.content == wanted["0.wav"]
    for connection in lazy:  # the server ends them, though each still sends a byte at times
        ended, end = False, time.monotonic() + 20
        while not ended and time.monotonic() < end:
            with contextlib.suppress(OSError):
                connection.settimeout(0.5)
                ended = connection.recv(1 << 16) == b""
        connection.close()
        assert ended


def test_kill_9_of_the_worker_fails_the_job_in_work_alone(server, songs):
    recordings, wanted = songs
    long, short = server.submit(recordings["long.wav"], recordings["1.wav"], speaker=SPEAKER)
    server.wait(long["id"], running)
    victims = server.workers()
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    error = error_of(server.wait(long["id"]))
    assert "worker" in " ".join(error.values()) or "process" in " ".join(error.values()), error
    assert server.result(server.wait(short["id"])) == wanted["1.wav"]
    assert not set(victims) & set(server.workers())


def test_a_client_that_goes_away(server, songs):
    """In the middle of its upload: nothing stays. While it waits for a result: the job is cancelled, others run on."""
    recordings, wanted = songs
    body = (
        b'--x\r\nContent-Disposition: form-data; name="options"\r\n\r\n{"speaker": "slt"}\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'
        + recordings["long.wav"].read_bytes()
        + b"\r\n--x--\r\n"
    )
    head = "POST /api/v1/{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    for path, sent in (("jobs", len(body) // 2), ("convert", len(body))):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.format(path, server.port, len(body)).encode() + body[:sent])
            if path == "convert":
                until(lambda: in_work(server) == 1, 30)
        until(lambda: not any((server.home / "incoming").iterdir()), 30)
    start = time.monotonic()
    until(lambda: in_work(server) == 0, 30)
    (after,) = server.submit(recordings["2.wav"], speaker=SPEAKER)
    assert server.result(server.wait(after["id"])) == wanted["2.wav"]
    assert time.monotonic() - start < 20


def in_work(server) -> int:
    """How many jobs are computed, by /metrics."""
    return int(float(re.search(r"^fastsvc_jobs_running (\S+)$", server.client.get("/metrics").text, re.MULTILINE)[1]))


def test_kill_9_of_the_server_loses_no_job_and_sigterm_drains(songs, tmp_path):
    recordings, wanted = songs
    names = ["long.wav", "3.wav", "4.wav"]
    with Server(tmp_path / "home", "--drain", 120) as server:
        jobs = server.submit(*(recordings[name] for name in names), speaker=SPEAKER)
        server.wait(jobs[0]["id"], running)
        family = descendants(server.process.pid)
        server.process.kill()
        server.process.wait()
        until(lambda: not any(map(alive, family)), 10)  # no worker works on for nobody
        server.start()
        assert [server.result(server.wait(job["id"])) for job in jobs] == [wanted[name] for name in names]

        jobs = server.submit(*(recordings[name] for name in names[:2]), speaker=SPEAKER)
        server.wait(jobs[0]["id"], running)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refused(server), 15)
        assert server.process.wait(120) == 0
        server.start()
        assert server.result(server.job(jobs[0]["id"])) == wanted[names[0]]  # done before the end, not anew
        assert server.job(jobs[1]["id"])["state"] in ("queued", "running")


def refused(server) -> bool:
    """Whether a new job is refused, with a time to come again."""
    files, options = {"file": ("a.wav", b"RIFF")}, json.dumps({"speaker": SPEAKER})
    answer = server.client.post(server.api("/jobs"), files=files, data={"options": options}, timeout=30)
    assert answer.status_code != 503 or answer.headers["Retry-After"]
    return answer.status_code == 503


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a small tmpfs, which needs root")
def test_a_full_disk_is_one_line_and_passes(songs, tmp_path):
    recordings, wanted = songs
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.decode().strip()}")
    try:
        with Server(disk / "home") as server:
            with open(disk / "filler", "wb") as filler:
                filler.write(bytes(shutil.disk_usage(disk).free - 300_000))
            kept = put(tmp_path / "noise.wav", tone(8.0))  # 384 kB
            answer = server.client.post(
                server.api("/jobs"),
                files={"file": (kept.name, kept.read_bytes())},
                data={"options": json.dumps({"speaker": SPEAKER})},
            )
            assert answer.status_code == 507 and FULL.search(answer.text), answer.text
            small = put(tmp_path / "small.wav", tone(4.0))  # fits, but not its result
            (job,) = server.submit(small, speaker=SPEAKER)
            error = error_of(server.wait(job["id"]))
            assert FULL.search(str(error)) and error["what"] == "small.wav"
            (disk / "filler").unlink()
            (job,) = server.submit(recordings["5.wav"], speaker=SPEAKER)
            assert server.result(server.wait(job["id"])) == wanted["5.wav"]
            assert "Traceback" not in server.log.read_text(encoding="utf-8")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
