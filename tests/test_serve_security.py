"""The holes of a naive server, each tried on ours: a process of its own, real sockets, real files."""

import contextlib
import io
import json
import re
import stat
import time
import zipfile

import numpy as np
import pytest
import serving
import soundfile
from engines import build_engine
from recordings import put, tone
from sockets import answered, connected, head

from fastsvc.serve.app import PAGE
from fastsvc.serve.guards.headers import CSP
from fastsvc.serve.settings import ServeSettings

pytestmark = pytest.mark.slow
JOBS = "/api/v1/jobs"
KEYS = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {'A' * 22}==")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home, tmp_path_factory):
    engine = build_engine(tmp_path_factory.mktemp("engine"))
    with serving.Server(home, engine, max_seconds=60.0, max_bytes=2_000_000, header_s=2.0) as server:
        yield server


@pytest.fixture
def port(server):
    return server.client.base_url.port


def files_of(home):
    """Files of jobs and of uploads."""
    return [path for folder in ("jobs", "incoming", "voices") for path in (home / folder).rglob("*") if path.is_file()]


def form(name, content, kind="file"):
    start = f'--x\r\nContent-Disposition: form-data; name="{kind}"; filename="{name}"\r\n\r\n'
    return start.encode() + content + b"\r\n--x--\r\n"


def test_an_upload_beyond_the_limit_is_not_received(server, port, home):
    """The naive server took 200 MB of a declared gigabyte to the disk before its handler ran."""
    for lines in (["Content-Length: 3000000000"], ["Content-Length: 3000000000", "Expect: 100-continue"]):
        with connected(port) as client:
            client.sendall(head("POST", JOBS, "Content-Type: multipart/form-data; boundary=x", *lines))
            with contextlib.suppress(ConnectionError):
                client.sendall(form("a.wav", bytes(10**6)))
            assert answered(client)[0] == 413
        assert files_of(home) == []
    with connected(port) as client:  # within the request's limit, and beyond the file's
        content = form("a.wav", bytes(3_000_000))
        lines = ["Content-Type: multipart/form-data; boundary=x", "Transfer-Encoding: chunked", "Connection: close"]
        client.sendall(head("POST", JOBS, *lines))
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(content), 100_000):
                piece = content[start : start + 100_000]
                client.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            client.sendall(b"0\r\n\r\n")
        assert answered(client)[0] in (413, 0)
    until_gone = time.monotonic() + 5
    while files_of(home) and time.monotonic() < until_gone:
        time.sleep(0.02)
    assert files_of(home) == []


def test_another_page_makes_no_job(server, home):
    wav = io.BytesIO()
    soundfile.write(wav, np.zeros(1000, np.float32), 16000, format="WAV")
    foreign = {"origin": "http://evil.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    upload = {"files": {"file": ("a.wav", wav.getvalue())}, "data": {"options": '{"speaker": 0}'}}
    for path in (JOBS, "/api/v1/convert", "/api/v1/engines"):
        assert server.client.post(path, headers=foreign, **upload).status_code == 403
    assert (
        server.client.delete("/api/v1/engines/voices", headers={"origin": "http://127.0.0.1:3000"}).status_code == 403
    )
    assert server.client.get("/api/v1/engines", headers=foreign).status_code == 403
    assert files_of(home) == []


def test_another_page_opens_no_websocket(port):
    for origin, expected in (("http://evil.example", 403), ("null", 403), (f"http://127.0.0.1:{port}", 403)):
        with connected(port) as client:  # the host is localhost: another origin than 127.0.0.1
            client.sendall(head("GET", "/api/v1/stream", *KEYS, f"Origin: {origin}"))
            assert answered(client)[0] == expected
    with connected(port) as client:
        client.sendall(head("GET", "/api/v1/stream", *KEYS, "Origin: http://localhost"))
        assert client.recv(1000).startswith(b"HTTP/1.1 101")


def test_dns_rebinding(server):
    for path in ("/", "/healthz", "/api/v1/engines", "/openapi.json", "/metrics", "/nothing"):
        assert server.client.get(path, headers={"host": "evil.example"}).status_code == 421
        assert server.client.get(path).headers["content-security-policy"] == CSP


NAMES = {
    "../../escaped.wav": "escaped.wav",
    r"C:\x\escaped.wav": "escaped.wav",
    "/etc/passwd": "passwd",
    "a%00b.wav": "a%00b.wav",
    "n" * 300 + ".wav": "n" * 60 + ".wav",
    "\u202evaw.exe": "_vaw.exe",
    "con.wav": "_con.wav",
    "..": "recording",
}


def test_names_of_clients_are_cleaned_and_never_paths(server, home, tmp_path):
    song = put(tmp_path / "song.wav", tone(0.1, 16000), 16000).read_bytes()
    files = [("file", (name, song)) for name in NAMES]
    answer = server.client.post(JOBS, files=files, data={"options": '{"speaker": 0}'})
    assert answer.status_code == 202, answer.text
    jobs = answer.json()["jobs"]
    assert [job["name"] for job in jobs] == list(NAMES.values())
    for job in jobs:
        assert serving.awaited(server.client, job)["state"] == "done"
    archive = zipfile.ZipFile(
        io.BytesIO(server.client.get(f"/api/v1/batches/{answer.json()['batch']}/results.zip").content)
    )
    names = archive.namelist()
    assert len(set(names)) == len(names) == len(NAMES) and all(name.isprintable() for name in names)
    assert not [name for name in names if re.search(r'[/\\:*?"<>|]|\.\.', name) or len(name) > 100]
    stored = {path.name for path in files_of(home)}
    assert not stored & {"escaped.wav", "passwd"} and not list(tmp_path.rglob("escaped*"))
    for job in jobs:
        assert server.client.delete(f"{JOBS}/{job['id']}").status_code == 204


@pytest.mark.parametrize(
    "options",
    [
        {"path": "http://127.0.0.1:9/x.wav"},
        {"speaker": 0, "f0_weights": "/etc/passwd"},
        {"speaker": 0, "url": "file:///etc/passwd"},
        {"engine": "/etc"},
        {"engine": "http://127.0.0.1:9/"},
        {"speaker": 0, "format": "../../x"},
    ],
    ids=str,
)
def test_no_option_is_an_address_or_a_path(server, home, options):
    answer = server.client.post(JOBS, files={"file": ("a.wav", b"x")}, data={"options": json.dumps(options)})
    assert answer.status_code == 422 and "root:" not in answer.text
    assert files_of(home) == []


def test_recordings_are_refused_by_their_headers(server, home, tmp_path):
    """An hour of silence in 90 kB, one whose header lies, noise: no job, and no time."""
    bomb = tmp_path / "bomb.flac"
    with soundfile.SoundFile(bomb, "w", 8000, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(30):
            file.write(np.zeros(8000 * 120, np.int16))
    content = bytearray(bomb.read_bytes())
    assert len(content) < 100_000
    lying = bytes(content[:21]) + bytes([content[21] & 0xF0]) + (8000).to_bytes(4, "big") + bytes(content[26:])
    began = time.monotonic()
    options = {"options": '{"speaker": 0}'}
    for name, data, code in (("bomb.flac", content, 413), ("lie.flac", lying, 415), ("noise.wav", bytes(999), 415)):
        answer = server.client.post(JOBS, files={"file": (name, bytes(data))}, data=options)
        assert answer.status_code == code and answer.json()["error"]["what"].startswith(name), answer.text
    assert time.monotonic() - began < 60 and files_of(home) == []


def test_defaults_are_safe(server, home):
    defaults = ServeSettings(home=home)
    assert defaults.local and defaults.host == "127.0.0.1"
    page = server.client.get("/")
    assert page.status_code == 200 and page.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in page.headers if name.startswith("access-control")] and "server" not in page.headers
    for folder in ("jobs", "incoming", "voices"):
        assert stat.S_IMODE((home / folder).stat().st_mode) & 0o077 == 0


def test_the_page_keeps_its_own_policy():
    """No inline script, style or handler, and nothing from elsewhere."""
    for path in PAGE.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", text), path
        assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//""", text), path
    for path in PAGE.rglob("*.css"):
        assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", path.read_text(encoding="utf-8")), path
    for path in PAGE.rglob("*.js"):
        assert not re.search(r"\beval\(|new Function\(|\.innerHTML|\.outerHTML|insertAdjacentHTML|document\.write",
                             path.read_text(encoding="utf-8")), path  # fmt: skip


def test_malformed_bodies_are_errors_in_words(server):
    deep = "[" * 5_000
    answers = [
        server.client.patch("/api/v1/engines/x", content=deep, headers={"content-type": "application/json"}),
        server.client.post(JOBS, data={"options": deep}, files={"file": ("a.wav", b"x")}),
        server.client.post(JOBS, content=b"x", headers={"content-type": "multipart/form-data"}),
        server.client.get(f"{JOBS}/{'../' * 20}etc/passwd"),
        server.client.get(f"{JOBS}/x/picture/%2e%2e"),
        server.client.get("/..%2f..%2fsettings.py"),
        server.client.get("/%00"),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500 and answer.json()["error"]["what"], answer.text
        assert "Traceback" not in answer.text and "site-packages" not in answer.text


def test_slow_clients_do_not_stop_others(server, port, tmp_path):
    """Slow heads and slow bodies, while a recording is converted."""
    song = put(tmp_path / "song.wav", tone(0.1, 16000), 16000)
    lines = ["Content-Type: multipart/form-data; boundary=x", "Content-Length: 999"]
    starts = [b"GET / HTTP/1.1\r\nHost: loc", head("POST", JOBS, *lines)]
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connected(port)) for _ in range(120)]
        for number, client in enumerate(slow):
            client.sendall(starts[number % 2])
        began = time.monotonic()
        (job,) = serving.sent(server.client, song, speaker=0)
        assert serving.awaited(server.client, job)["state"] == "done"
        assert time.monotonic() - began < 30 and server.client.get("/healthz").status_code == 200
        assert all(answered(client)[0] == 0 for client in slow[::2])
