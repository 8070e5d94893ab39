"""Voices over the API: uploaded, built in a process of their own, renamed, removed; hostile uploads leave nothing."""

import json
import os
import pickle
import signal
import time
from pathlib import Path

import pytest
import rvc_files
import serving
from engines import build_engine
from sockets import until

from fastsvc.serve.builds import sweep
from fastsvc.serve.jobs.job import BUILD, Job

pytestmark = pytest.mark.slow
ENGINES = "/api/v1/engines"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return build_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory, engine):
    entries = [(f"alto.fsvc/{file.name}", file.read_bytes()) for file in engine.iterdir() if file.is_file()]
    return rvc_files.zipped(tmp_path_factory.mktemp("zip") / "alto.zip", *entries)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def client(home, engine):
    with serving.client(home, engine) as client:
        yield client


def send(client, *files, code=202, **fields):
    """The answer to an upload of (part, name, content) each."""
    parts = [(part, (name, content)) for part, name, content in files]
    answer = client.post(ENGINES, files=parts, data=fields)
    assert answer.status_code == code, answer.text
    return answer.json() if code == 202 else answer.json()["error"]


def listed(client, id):
    return next((entry for entry in client.get(ENGINES).json()["engines"] if entry["id"] == id), None)


def nothing_left(home):
    return not any((home / "voices").iterdir()) and not any((home / "incoming").iterdir())


@pytest.mark.long
def test_an_engine_is_installed_used_renamed_and_removed(client, archive, home):
    evil = "../../\u202eAlto\0 of\nNowhere.fsvc"
    job = serving.awaited(client, send(client, ("file", evil, archive.read_bytes())))
    assert job["state"] == "done" and job["kind"] == "build", job
    assert any("its tensors are unpacked" in line for line in job["log"]) and str(home) not in json.dumps(job)
    id = job["engine"]
    voice = listed(client, id)
    assert voice["removable"] and voice["name"].isprintable() and "/" not in voice["name"] and "Alto" in voice["name"]
    assert [speaker["name"] for speaker in voice["speakers"]] == ["Ada", "Bert", "Cleo"]
    folder = home / "voices" / id
    assert sorted(path.name for path in folder.iterdir()) == ["voice.fsvc", "voice.json"]
    renamed = client.patch(f"{ENGINES}/{id}", json={"name": "  Élise "})
    assert renamed.json()["name"] == "Élise" and listed(client, id)["name"] == "Élise"
    for wrong in ("", "\n", "a\u202eb", "x" * 101, 5, None):
        assert client.patch(f"{ENGINES}/{id}", json={"name": wrong}).status_code == 422
    book = client.app.state.service.queue.book
    book.waiting["w"] = Job("w", "b", "convert", "song", engine=id)
    assert client.delete(f"{ENGINES}/{id}").status_code == 409 and folder.is_dir()
    del book.waiting["w"]
    assert client.delete(f"{ENGINES}/{id}").status_code == 204
    assert listed(client, id) is None and nothing_left(home)
    assert client.delete(f"{ENGINES}/{id}").status_code == 404


def test_engines_that_were_not_uploaded_stay(client, engine):
    for entry in client.get(ENGINES).json()["engines"]:
        assert not entry["removable"]
        assert client.delete(f"{ENGINES}/{entry['id']}").status_code == 403
        assert client.patch(f"{ENGINES}/{entry['id']}", json={"name": "x"}).status_code == 403
    assert engine.is_dir()
    for id in ("..", "%2e%2e%2f", "x/../../y", "\u202e"):
        assert client.delete(f"{ENGINES}/{id}").status_code in (404, 405)


class Ran:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.long
def test_hostile_uploads_fail_in_words_and_leave_nothing(client, home, tmp_path, archive):
    bomb = rvc_files.zipped(tmp_path / "bomb.zip", ("voice.pth", bytes(200 * 2**20))).read_bytes()
    uploads = {
        "code.pth": pickle.dumps(Ran()),
        "bomb.zip": bomb,
        "cut.fsvc": archive.read_bytes()[:-3000],
    }
    jobs = {name: send(client, ("file", name, content)) for name, content in uploads.items()}
    for name, job in jobs.items():
        over = serving.awaited(client, job)
        assert over["state"] == "failed" and over["error"]["what"] and "fault of fastsvc" not in str(over), (name, over)
        assert str(home) not in json.dumps(over) and "Traceback" not in json.dumps(over)
    assert nothing_left(home) and not list(Path().glob("ran")) and not list((home / "empty").iterdir())


def test_a_cancelled_build_leaves_nothing(client, home, archive):
    content = archive.read_bytes()
    running, waiting = (send(client, ("file", "a.zip", content)) for _ in range(2))
    serving.awaited(client, running, "running")
    while not serving.state(client, running)["log"]:
        time.sleep(0.02)
    for job in (waiting, running):
        assert client.delete(f"/api/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    serving.awaited(client, running)
    runner = client.app.state.service.queue.runner
    until(lambda: nothing_left(home) and not runner.runs)


def test_a_build_whose_process_is_killed_fails_in_a_line_and_leaves_nothing(client, home, archive):
    job = send(client, ("file", "a.zip", archive.read_bytes()))
    while not serving.state(client, job)["log"]:
        time.sleep(0.02)
    (run,) = client.app.state.service.queue.runner.runs.values()
    run.process.process.send_signal(signal.SIGKILL)
    over = serving.awaited(client, job)
    assert over["state"] == "failed" and "its worker process ended (signal 9" in over["error"]["why"], over
    until(lambda: nothing_left(home))


@pytest.mark.long
def test_a_build_survives_a_killed_server(tmp_path, archive):
    with serving.Server(tmp_path) as server:
        answer = server.client.post(ENGINES, files={"file": ("alto.fsvc", archive.read_bytes())}, data={"name": "Alto"})
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(30)
    (tmp_path / "voices" / "cut" / "upload").mkdir(parents=True)
    with serving.Server(tmp_path) as server:
        job = serving.awaited(server.client, answer.json())
        assert job["state"] == "done", job
        assert listed(server.client, job["engine"])["name"] == "Alto"
        assert [path.name for path in (tmp_path / "voices").iterdir()] == [job["engine"]]


@pytest.mark.parametrize(
    "files, code",
    [
        ([("file", "a.exe", b"x")], 415),
        ([("file", "a.index", b"x")], 422),
        ([("file", "a.pth", b"x"), ("file", "b.pt", b"x")], 422),
        ([("file", "a.pth", b"x"), ("content", "a.txt", b"x")], 415),
        ([("file", f"{i}.pth", b"x") for i in range(9)], 413),
        ([("file", "a" * 9000 + ".pth", b"x")], 422),
        ([], 415),
    ],
    ids=["program", "no voice", "two", "text", "many", "long name", "no form"],
)
def test_forms_that_are_refused(client, home, files, code):
    assert send(client, *files, code=code)["what"]
    assert nothing_left(home)


def test_a_form_that_is_cut_or_malformed(client, home):
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pth"\r\n\r\n'
    for body in (b"", b"--y--", start, start + b"data\r\n--x", b"--x\r\n\r\n\r\n--x--"):
        kind = {"content-type": "multipart/form-data; boundary=x"}
        assert client.post(ENGINES, content=body, headers=kind).status_code in (422, 400)
    kind = {"content-type": f"multipart/form-data; boundary={'x' * 5000}"}
    assert client.post(ENGINES, content=b"x", headers=kind).status_code in (415, 422)
    assert nothing_left(home)


def test_limits_and_switches(tmp_path, archive):
    content = archive.read_bytes()
    with serving.client(tmp_path / "a", uploads=False) as client:
        assert send(client, ("file", "a.zip", b"x"), code=403)["why"]
        assert send(client, ("file", "a.zip", bytes(10**6)), code=413)  # not even received
    with serving.client(tmp_path / "b", max_request_bytes=len(content) // 2, max_bytes=1000) as client:
        assert send(client, ("file", "a.zip", content), code=413)["why"]
        assert nothing_left(tmp_path / "b")
    with serving.client(tmp_path / "c", memory_bytes=10**8) as client:
        job = serving.awaited(client, send(client, ("file", "a.zip", content)))
        assert job["state"] == "failed" and "of memory to build" in job["error"]["what"] + job["error"]["why"]


def test_what_a_killed_server_left_is_swept(tmp_path):
    for name in ("cut", "kept", "waits"):
        (tmp_path / name / "upload").mkdir(parents=True)
    (tmp_path / "kept" / "voice.json").write_text("{}")
    sweep.sweep(tmp_path, [Job("1", "1", BUILD, "x", arguments={"voice": "waits"}), Job("2", "2", "convert", "y")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "waits"]
