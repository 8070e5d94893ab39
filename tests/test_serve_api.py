"""The API of `fastsvc serve` with real worker processes and a small engine."""

import io
import json
import zipfile
from urllib.parse import unquote

import command_line
import engines
import numpy as np
import pytest
import recordings
import serving
import soundfile
import streams

pytest.importorskip("fastapi")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    return recordings.put(tmp_path_factory.mktemp("songs") / "song.wav", streams.song(2.0, 24000)[None])


@pytest.fixture(scope="module")
def client(tmp_path_factory, engine):
    with serving.client(tmp_path_factory.mktemp("home"), engine, max_seconds=60.0) as client:
        yield client


def by_the_command(folder, engine, song, *options) -> bytes:
    command_line.run("convert", song, "-m", engine, "-o", folder / "out", "-q", *options)
    (path,) = (path for path in (folder / "out").iterdir() if not path.name.startswith("."))
    return path.read_bytes()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"speaker": "Bert"}, ["--spk", "Bert"]),
        (
            {"speaker": {"Ada": 0.75, "Cleo": 0.25}, "steps": 2, "transpose": "auto", "seed": 7},
            ["--spk", "Ada:0.75,Cleo:0.25", "--steps", 2, "--transpose", "auto", "--seed", 7],
        ),
        (
            {"speaker": 2, "format": "flac", "bits": "24", "rate": 44100, "rms_mix_rate": 1, "high_pass": False},
            [
                "--spk",
                "2",
                "--format",
                "flac",
                "--bits",
                "24",
                "--rate",
                "44100",
                "--rms-mix-rate",
                "1",
                "--no-high-pass",
            ],
        ),
    ],
)
def test_results_are_the_commands_bytes(tmp_path, client, engine, song, options, words):
    (job,) = serving.sent(client, song, **options)
    done = serving.awaited(client, job)
    assert done["state"] == "done", done
    answer = client.get(done["result"]["url"])
    assert answer.content == by_the_command(tmp_path, engine, song, *words)
    audio, rate_hz = soundfile.read(io.BytesIO(answer.content))
    assert (len(audio), rate_hz) == (done["result"]["samples"], done["result"]["rate_hz"])
    assert len(answer.content) == done["result"]["bytes"]
    assert done["result"]["name"] in unquote(answer.headers["content-disposition"])


def test_what_belongs_to_a_result(client, song):
    (job,) = serving.sent(client, song, speaker="Ada")
    done = serving.awaited(client, job)
    assert (done["progress"], done["place"], done["seconds"], done["seed"]) == (1, None, 2.0, 0)
    whole = client.get(done["result"]["url"])
    part = client.get(done["result"]["url"], headers={"Range": "bytes=44-143"})
    assert (part.status_code, part.content) == (206, whole.content[44:144])
    heard, _ = soundfile.read(io.BytesIO(client.get(f"/api/v1/jobs/{job['id']}/input").content), dtype="float32")
    np.testing.assert_allclose(heard, soundfile.read(song, dtype="float32")[0], atol=2**-15)
    for which in ("input", "result"):
        picture = client.get(f"/api/v1/jobs/{job['id']}/picture/{which}").json()
        assert picture["frames"] == len(picture["f0_hz"]) == 125
    assert client.get(f"/api/v1/jobs/{job['id']}/picture/other").status_code == 422
    assert client.delete(f"/api/v1/jobs/{job['id']}").status_code == 204
    for url in (f"/api/v1/jobs/{job['id']}", done["result"]["url"]):
        assert client.get(url).status_code == 404
    service = client.app.state.service
    assert not service.queue.book.folder(service.queue.book.get(job["id"]) or _Named(job["id"])).exists()


class _Named:
    def __init__(self, id):
        self.id = id


def test_a_batch_with_its_events_and_its_archive(tmp_path, client, song):
    nan = recordings.tone(0.5)
    nan[0, 100] = np.nan
    bad = recordings.put(tmp_path / "bad.wav", nan, subtype="FLOAT")
    jobs = serving.sent(client, song, bad, song, speaker="Cleo")
    seen, ends = {}, False
    with client.stream("GET", f"/api/v1/batches/{jobs[0]['batch']}/events") as answer:
        for line in answer.iter_lines():
            ends = ends or line == "event: end"
            if line.startswith("data: {") and len(line) > 10:
                job = json.loads(line[6:])
                seen.setdefault(job["id"], []).append((job["state"], job["place"]))
    assert ends
    assert [seen[job["id"]][-1][0] for job in jobs] == ["done", "failed", "done"]
    assert ("queued", 2) in seen[jobs[2]["id"]]
    failed = serving.state(client, jobs[1])
    assert failed["error"]["what"] == "bad.wav"
    assert "NaN" in failed["error"]["why"]
    content = client.get(f"/api/v1/batches/{jobs[0]['batch']}/results.zip").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["song_Cleo.wav", "song_Cleo-2.wav", "not converted.txt"]
        assert archive.read("song_Cleo.wav") == client.get(f"/api/v1/jobs/{jobs[0]['id']}/result").content
        assert b"bad.wav" in archive.read("not converted.txt")
    listed = client.get("/api/v1/jobs", params={"ids": f"{jobs[2]['id']},{'0' * 32},{jobs[0]['id']}"}).json()["jobs"]
    assert [job["id"] for job in listed] == [jobs[2]["id"], jobs[0]["id"]]


def test_convert_answers_with_the_result_and_keeps_nothing(tmp_path, client, engine, song):
    sent = {"file": song.open("rb")}
    answer = client.post("/api/v1/convert", files=sent, data={"options": '{"speaker": "Bert"}'})
    assert answer.status_code == 200, answer.text
    assert answer.content == by_the_command(tmp_path, engine, song, "--spk", "Bert")
    service = client.app.state.service
    assert not [job for job in service.queue.store.finished() if job[0] not in service.queue.store.ids()]
    bad = client.post("/api/v1/convert", files={"file": ("a.wav", b"RIFF nothing")}, data={"options": '{"speaker": 1}'})
    assert bad.status_code == 415


def test_a_cancelled_job_frees_its_worker_and_spoils_nothing(tmp_path, client, engine, song):
    long = recordings.put(tmp_path / "long.wav", streams.song(59.0, 24000)[None])
    (before,) = client.app.state.service.pool.workers or [None]
    first, second = serving.sent(client, long, song, speaker="Bert", steps=2)
    serving.awaited(client, first, "running")
    serving.awaited(client, second, "queued")
    while serving.state(client, first)["stage"] != "converting":
        pass
    assert client.delete(f"/api/v1/jobs/{first['id']}").json()["state"] == "cancelled"
    done = serving.awaited(client, second, seconds=5.0)
    expected = by_the_command(tmp_path, engine, song, "--spk", "Bert", "--steps", 2)
    assert client.get(done["result"]["url"]).content == expected
    (after,) = client.app.state.service.pool.workers
    assert before is None or after is before  # it was interrupted, not ended


def test_jobs_that_share_a_run_get_what_each_gets_alone(tmp_path, client, song, monkeypatch):
    other = recordings.put(tmp_path / "other.flac", streams.song(1.5, 44100, seed=1)[None], 44100)
    bad = recordings.put(tmp_path / "bad.wav", np.full((1, 100), np.inf, np.float32), subtype="FLOAT")
    files = (song, bad, other)
    alone = [serving.sent(client, file, speaker="Bert", seed=3)[0] for file in files]
    alone = [serving.awaited(client, job) for job in alone]
    monkeypatch.setattr(client.app.state.service.pool, "shares", lambda engine: True)
    jobs = serving.sent(client, *files, speaker="Bert", seed=3)
    assert {job["state"] for job in jobs} <= {"running", "queued"}
    together = [serving.awaited(client, job) for job in jobs]
    assert [job["state"] for job in together] == [job["state"] for job in alone] == ["done", "failed", "done"]
    for one, other in zip(alone, together):
        assert one["error"] == other["error"]
        if one["result"]:
            assert client.get(one["result"]["url"]).content == client.get(other["result"]["url"]).content


def test_metrics_and_engines(client):
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
    assert {"fastsvc_jobs", "fastsvc_real_time_factor", "fastsvc_queue_length", "fastsvc_resident_bytes"} <= set(
        families
    )
    first = client.get("/api/v1/engines").json()["engines"][0]
    assert (first["id"], first["bundled"], first["removable"], first["steps"]) == ("engine", False, False, [1, 2])
    assert [speaker["f0_median_hz"] for speaker in first["speakers"]] == [110.0, 220.0, 330.0]
    assert client.get("/readyz").json() == {"ready": True, "reasons": []}


@pytest.mark.long
def test_too_long_a_recording_is_refused_by_its_header(tmp_path, client):
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(61 * 8000), 8000)
    assert path.stat().st_size < 10_000
    error = serving.sent(client, path, code=413, speaker=0)
    assert error["what"] == "long.flac"
    assert "61 s" in error["why"]
