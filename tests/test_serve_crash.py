"""`fastsvc serve` as processes: workers and servers that are killed, a full disk, an orderly end."""

import os
import signal
import sys
import time

import engines
import pytest
import recordings
import serving
import streams

pytest.importorskip("fastapi")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, sends signals")]
LONG_S = 40.0  # seconds of a recording that takes long enough to be killed in its middle


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    long = recordings.put(folder / "long.wav", streams.song(LONG_S, 24000)[None])
    return long, recordings.put(folder / "short.wav", streams.song(1.0, 24000)[None])


def in_work(client, job) -> None:
    """Wait until a worker converts it."""
    deadline = time.monotonic() + 60
    while serving.state(client, job)["stage"] != "converting":
        assert time.monotonic() < deadline, serving.state(client, job)
        time.sleep(0.01)


def resident(server) -> list[int]:
    """Process ids of the workers that hold an engine: those with PyTorch."""
    return [pid for pid in server.workers() if "libtorch" in open(f"/proc/{pid}/maps").read()]


@pytest.mark.long
def test_a_killed_worker_fails_its_job_alone(tmp_path, engine, songs):
    with serving.Server(tmp_path, engine) as server:
        long, short = serving.sent(server.client, *songs, speaker="Ada")
        in_work(server.client, long)
        (worker,) = resident(server)
        os.kill(worker, signal.SIGKILL)
        failed = serving.awaited(server.client, long, seconds=5.0)
        assert failed["state"] == "failed"
        assert failed["error"]["what"] == "engine"
        assert "signal 9" in failed["error"]["why"]
        assert serving.awaited(server.client, short)["state"] == "done"
        assert "fastsvc_worker_restarts_total 1.0" in server.client.get("/metrics").text


def test_accepted_jobs_survive_a_killed_server(tmp_path, engine, songs):
    with serving.Server(tmp_path, engine) as server:
        before = serving.sent(server.client, *songs, speaker="Ada")
        in_work(server.client, before[0])
        workers = resident(server)
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{pid}/exe") for pid in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(os.path.exists(f"/proc/{pid}/exe") for pid in workers)
    with serving.Server(tmp_path, engine) as server:
        assert [serving.awaited(server.client, job)["state"] for job in before] == ["done", "done"]
        assert not list((tmp_path / "work").iterdir())


@pytest.mark.long
def test_a_job_that_was_in_work_at_two_deaths_is_not_tried_again(tmp_path, engine, songs):
    for number in range(2):
        with serving.Server(tmp_path, engine) as server:
            if number == 0:
                long, short = serving.sent(server.client, *songs, speaker="Ada")
            in_work(server.client, long)
            server.process.kill()
            server.process.wait()
    with serving.Server(tmp_path, engine) as server:
        failed = serving.state(server.client, long)
        assert (failed["state"], failed["error"]["what"]) == ("failed", "long.wav")
        assert "2 times" in failed["error"]["why"]
        assert serving.awaited(server.client, short)["state"] == "done"


@pytest.mark.long
def test_sigterm_finishes_what_is_in_work_and_keeps_what_waits(tmp_path, engine, songs):
    _, short = songs
    ten = recordings.put(tmp_path / "ten.wav", streams.song(10.0, 24000)[None])
    with serving.Server(tmp_path / "home", engine, drain_s=60) as server:
        first, second = serving.sent(server.client, ten, short, speaker="Ada")
        in_work(server.client, first)
        server.process.send_signal(signal.SIGTERM)
        error = serving.sent(server.client, short, code=503, speaker="Ada")
        assert "stopping" in error["what"]
        with server.client.stream("GET", f"/api/v1/batches/{first['batch']}/events") as answer:
            assert '"state": "done"' in answer.read().decode()
        output, errors = server.process.communicate(timeout=30)
        assert (server.process.returncode, output) == (0, "ended\n"), errors
    with serving.Server(tmp_path / "home", engine) as server:
        assert serving.state(server.client, first)["state"] == "done"
        assert serving.awaited(server.client, second)["state"] == "done"


def test_a_full_disk_is_one_line(tmp_path, engine, songs):
    def small_files():
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))

    long, short = songs
    with serving.Server(tmp_path, engine, preexec=small_files) as server:
        error = serving.sent(server.client, long, code=507, speaker="Ada")
        assert error["why"] or error["what"], error
        assert str(tmp_path) not in str(error)
        assert not list((tmp_path / "incoming").iterdir())
        # 12 s at 24 kHz are received, and are too large at 96 kHz
        middle = recordings.put(tmp_path / "middle.wav", streams.song(12.0, 24000)[None])
        failed, done = serving.sent(server.client, middle, short, speaker="Ada", rate=96000)
        error = serving.awaited(server.client, failed)["error"]
        assert "larger than the system allows" in error["why"], error
        assert str(tmp_path) not in str(error)
        assert serving.awaited(server.client, done)["state"] == "done"


def test_one_server_a_folder(tmp_path, engine):
    from fastsvc.errors import OutputError

    with serving.Server(tmp_path, engine), pytest.raises(OutputError, match="in use"), serving.client(tmp_path):
        pass
