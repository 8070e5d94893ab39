"""Engines in worker processes: how many stay in memory, and what becomes of one that cannot be loaded."""

import http.client
import json
import shutil
import time

import engines
import httpx
import pytest
import recordings
import streams

pytest.importorskip("fastapi")
import serving

pytestmark = [pytest.mark.long, pytest.mark.slow]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    return recordings.put(tmp_path_factory.mktemp("songs") / "song.wav", recordings.tone(0.5))


def done(client, song, engine) -> None:
    (job,) = serving.sent(client, song, engine=engine, speaker="Ada", pictures=False)
    assert serving.awaited(client, job)["state"] == "done"


def states(client) -> dict:
    return {engine["id"]: engine["state"] for engine in client.get("/api/v1/engines").json()["engines"]}


@pytest.mark.long
def test_the_longest_unused_engine_gives_way(tmp_path, engine, song):
    others = [shutil.copytree(engine, tmp_path / f"{name}.fsvc") for name in ("one", "two")]
    with serving.client(tmp_path / "home", engine, *others, memory_bytes=10**10) as client:
        pool = client.app.state.service.pool
        for id in ("engine", "one", "engine"):
            done(client, song, id)
        assert states(client) == {"engine": "ready", "one": "ready", "two": "cold", "voices": "cold"}
        workers = {worker.voice.id: worker.process for worker in pool.workers}
        room = pool.resident_bytes() + 2 * 10**8
        object.__setattr__(pool.settings, "memory_bytes", room)  # two fit, three do not
        done(client, song, "two")
        assert states(client) == {"engine": "ready", "one": "cold", "two": "ready", "voices": "cold"}
        assert pool.resident_bytes() <= room
        assert workers["engine"].alive
        object.__setattr__(pool.settings, "memory_bytes", 1)  # one alone is always allowed
        done(client, song, "one")
        assert [worker.voice.id for worker in pool.workers] == ["one"]


@pytest.mark.long
def test_an_engine_that_cannot_be_loaded_fails_its_jobs_and_is_shown_as_broken(tmp_path, engine, song):
    damaged = shutil.copytree(engine, tmp_path / "damaged.fsvc")
    with (damaged / "weights.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\xff\xff\xff\xff")
    with serving.client(tmp_path / "home", damaged, engine) as client:
        (job,) = serving.sent(client, song, speaker="Ada")
        error = serving.awaited(client, job)["error"]
        assert "damaged" in json.dumps(error)
        assert str(tmp_path) not in json.dumps(error)
        listed = client.get("/api/v1/engines").json()["engines"][0]
        assert (listed["id"], listed["state"]) == ("damaged", "broken")
        assert str(tmp_path) not in json.dumps(listed)
        assert client.get("/readyz").status_code == 200
        done(client, song, "engine")


def test_a_client_that_goes_away_cancels_its_conversion(tmp_path, engine):
    long = recordings.put(tmp_path / "long.wav", streams.song(60.0, 24000)[None])
    form = httpx.Request(
        "POST",
        "http://test/api/v1/convert",
        files={"file": ("long.wav", long.read_bytes())},
        data={"options": '{"speaker": "Ada", "steps": 2}'},
    )
    with serving.Server(tmp_path / "home", engine) as server:
        address = server.client.base_url
        leaving = http.client.HTTPConnection(address.host, address.port)
        leaving.request(
            "POST", "/api/v1/convert", form.read(), dict(form.headers) | {"host": f"{address.host}:{address.port}"}
        )
        counted(server.client, "fastsvc_jobs_running 1.0")
        leaving.close()
        text = counted(server.client, "fastsvc_jobs_running 0.0")
        assert 'fastsvc_jobs_total{kind="convert",state="cancelled"} 1.0' in text
        assert not list((tmp_path / "home" / "jobs").iterdir())


def counted(client, line: str) -> str:
    """The metrics, as soon as they have that line."""
    deadline = time.monotonic() + 60
    while line not in (text := client.get("/metrics").text):
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    return text
