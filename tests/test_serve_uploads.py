"""Forms that `fastsvc serve` receives: limits, names, damage; nothing of a refused one stays on the disk."""

import errno
import io
from pathlib import Path

import pytest
import recordings

pytest.importorskip("fastapi")
import serving

from fastsvc.serve.jobs.names import cleaned, distinct

FORM = {"content-type": "multipart/form-data; boundary=xyz"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with serving.client(home, max_bytes=50_000, max_request_bytes=80_000, max_files=3) as client:
        client.app.state.service.queue.runner._next = list  # no job begins
        yield client


@pytest.fixture(autouse=True)
def nothing_stays(client):
    yield
    service = client.app.state.service
    assert not list(service.settings.incoming_folder.iterdir())
    assert service.queue.incoming_bytes == 0


def posted(client, content, headers=FORM):
    return client.post("/api/v1/jobs", content=content, headers=headers)


def part(disposition: str, content: bytes = b"x", head: str = "") -> bytes:
    return f"--xyz\r\nContent-Disposition: form-data; {disposition}\r\n{head}\r\n".encode() + content + b"\r\n"


def files(number: int, size: int) -> bytes:
    return b"".join(part(f'name="file"; filename="{i}.wav"', b"x" * size) for i in range(number)) + b"--xyz--\r\n"


@pytest.mark.parametrize(
    "number, size, what",
    [(1, 50_001, "the file is too large"), (2, 45_000, "too large together"), (4, 10, "too many files")],
)
def test_what_is_too_large_is_refused_while_it_comes(client, number, size, what):
    read = 0

    def pieces():
        nonlocal read
        for start in range(0, len(content), 1000):
            read += 1
            yield content[start : start + 1000]

    content = files(number, size)
    answer = posted(client, pieces())
    assert answer.status_code == 413
    assert what in answer.json()["error"]["what"]


def test_bytes_that_are_written_are_no_more_than_the_limit(client, monkeypatch):
    written = []

    class Counting(io.BytesIO):
        def write(self, data):
            written.append(len(data))
            return super().write(data)

    monkeypatch.setattr(Path, "open", lambda *_: Counting())
    content = files(1, 1_000_000)
    answer = posted(client, (content[start : start + 10_000] for start in range(0, len(content), 10_000)))
    assert answer.status_code == 413
    assert sum(written) <= 50_000


@pytest.mark.parametrize(
    "content, status",
    [
        (b"", 422),
        (b"--xyz--\r\n", 422),
        (files(1, 10)[:-5], 422),
        (b"no form at all" * 1000, 422),
        (part("", b"x" * 10), 422),
        (part('name="options"', b"x" * 70_000), 413),
        (b"".join(part(f'name="f{i}"') for i in range(40)) + b"--xyz--\r\n", 413),
        (part('name="options"', b'{"speaker": "slt"') + files(1, 10), 422),
        (part('name="options"', b'["slt"]') + files(1, 10), 422),
        (part('name="options"', b"[" * 60_000) + files(1, 10), 422),
        (part('name="options"', b'{"speaker": "slt"}') + b"--xyz--\r\n", 422),
    ],
)
def test_damaged_forms_are_refused(client, content, status):
    answer = posted(client, content)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["what"]


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "text/plain", ""])
def test_what_is_no_form_is_refused(client, kind):
    assert posted(client, b"{}", {"content-type": kind}).status_code == 415


def field(name: str, text: str) -> bytes:
    return part(f'name="{name}"', text.encode())


RECORDING = part('name="file"; filename="a.wav"')


@pytest.mark.parametrize(
    "options, why",
    [
        ('{"\\ud800": 1}', "surrogate"),
        ('{"\\udce9": 1}', "surrogate"),
        ('{"speaker": "slt", "speaker": "kal"}', "twice"),
        ("{", "not JSON"),
    ],
)
def test_options_that_cannot_be_read(client, options, why):
    answer = posted(client, field("options", options) + RECORDING + b"--xyz--\r\n")
    assert answer.status_code == 422 and why in answer.json()["error"]["why"]


def test_a_field_without_effect_is_refused(client):
    """Whoever sends speaker=kal, as forms elsewhere have it, must not get another voice in silence."""
    form = field("options", '{"speaker": "slt"}') + field("speaker", "kal") + RECORDING + b"--xyz--\r\n"
    for path in ("jobs", "engines"):
        answer = client.post(f"/api/v1/{path}", content=form.replace(b".wav", b".pth"), headers=FORM)
        assert answer.status_code == 422 and "no field" in answer.json()["error"]["why"]


def test_a_field_twice_is_refused(client):
    form = field("options", '{"speaker": "slt"}') + field("options", '{"speaker": "kal"}') + RECORDING + b"--xyz--\r\n"
    answer = posted(client, form)
    assert answer.status_code == 422 and answer.json()["error"]["why"] == "the form has it twice"


def test_a_full_disk_is_one_line(client, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device", "/home/somebody/file")

    monkeypatch.setattr(Path, "open", lambda *_: Full())
    answer = posted(client, files(1, 10))
    assert answer.status_code == 507
    assert answer.json()["error"]["remedy"].startswith("free space")
    assert "somebody" not in answer.text


def test_names_are_cleaned_and_files_lie_under_ids(client, tmp_path):
    good = recordings.put(tmp_path / "a.wav", recordings.tone(0.1)).read_bytes()
    content = part('name="options"', b'{"speaker": "slt"}')
    content += part('name="file"; filename="../../etc/pass\u202ewd.WAV"', good) + b"--xyz--\r\n"
    (job,) = posted(client, content).json()["jobs"]
    assert job["name"] == "pass_wd.wav"
    folder = client.app.state.service.settings.jobs_folder / job["id"]
    assert [path.name for path in folder.iterdir()] == ["input.wav"]
    assert (folder / "input.wav").read_bytes() == good
    assert client.delete(f"/api/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    assert not folder.exists()


@pytest.mark.parametrize(
    "name, clean",
    [
        ("song.mp3", "song.mp3"),
        ("C:\\music\\song.FLAC", "song.flac"),
        ("../../x", "x"),
        ("..", "recording"),
        ("", "recording"),
        ("a\0b\n.wav", "ab_.wav"),
        ("con.wav", "_con.wav"),
        ("x" * 300 + ".wav", "x" * 60 + ".wav"),
        ("песня №1.ogg", "песня №1.ogg"),
        ("a.tar.gz;rm", "a.tar.gz;rm"),
        ("<script>.wav", "_script_.wav"),
    ],
)
def test_names(name, clean):
    assert cleaned(name) == clean


def test_names_in_an_archive_differ_on_any_file_system():
    assert distinct(["a.wav", "A.wav", "a.wav", "a-2.wav", "b"]) == ["a.wav", "A-2.wav", "a-3.wav", "a-2-2.wav", "b"]


def test_a_full_queue_says_when_to_try_again(tmp_path):
    good = recordings.put(tmp_path / "a.wav", recordings.tone(0.1))
    with serving.client(tmp_path / "home", queue=2) as client:
        client.app.state.service.queue.runner._next = list  # no job begins
        serving.sent(client, good, good, speaker="slt")
        answer = posted(client, part('name="options"', b'{"speaker": "slt"}') + files(1, 10))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "2 jobs wait" in answer.json()["error"]["what"]
