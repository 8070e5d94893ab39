"""`fastsvc serve` as a program: what it prints, refuses and returns."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import click
import pytest
from command_line import run

from fastsvc import faults
from fastsvc.commands import serve
from fastsvc.errors import ConfigError
from fastsvc.serve import server
from fastsvc.serve.settings import ServeSettings
from fastsvc.serve.surroundings import surroundings

TOKEN = "0123456789abcdef-secret"
USAGE = 2


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTSVC_SERVE", str(tmp_path / "home"))
    monkeypatch.delenv(serve.TOKEN_VARIABLE, raising=False)


class Program:
    """The command in a process of its own; ``address``: where it says that it serves."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "fastsvc", "serve", "--port", "0", "--no-open", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.guard = threading.Timer(60, self.process.kill)
        self.guard.start()
        self.printed = ""
        while " at http" not in self.printed and (line := self.process.stdout.readline()):
            self.printed += line
        self.address = self.printed.split(" at ")[1].split()[0] if " at http" in self.printed else ""

    def end(self, number):
        """(exit code, all that it printed) after a signal."""
        self.process.send_signal(number)
        rest = self.process.communicate(timeout=60)[0]
        self.guard.cancel()
        return self.process.returncode, self.printed + rest


def get(address, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as answer:  # noqa: S310
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow
def test_it_prints_its_address_and_ends_in_order(tmp_path):
    program = Program()
    assert program.address.startswith("http://127.0.0.1:") and get(program.address) == 200, program.printed
    assert get(program.address + "healthz") == 200 and get(program.address, Host="evil.example") == 421
    code, printed = program.end(signal.SIGTERM)
    assert code == 0 and printed.count("\n") == 1, printed
    assert not [path for path in (tmp_path / "home").rglob("*") if path.stat().st_mode & 0o077]


@pytest.mark.slow
def test_the_token_is_never_printed_and_ctrl_c_ends_it():
    program = Program("--host", "127.0.0.1", "--token", TOKEN, "-v")
    assert get(program.address) == 401 and get(program.address + f"?token={TOKEN}") == 200
    assert get(program.address, Authorization=f"Bearer {TOKEN}") == 200
    assert get(program.address + f"?token={TOKEN}", Host="evil.example") == 421
    code, printed = program.end(signal.SIGINT)
    assert code == 0 and "stopping: SIGINT" in printed and TOKEN not in printed and "Traceback" not in printed


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--host", "0.0.0.0"], "no token is set"),  # noqa: S104
        (["--host", "::"], "no token is set"),
        (["--host", "127.0.0.1.evil.example"], "no token is set"),
        (["--token", "short"], "the token can be guessed"),
        (["--token", ""], "the token is empty"),
        (["--allow-host", "https://a.example/"], "use the name alone"),
        (["--allow-host", "a.example:443"], "use the name alone"),
        (["--allow-host", ""], "use the name alone"),
        (["--host", "192.0.2.1", "--token", TOKEN], "an address of this machine"),
        (["--token", "ü" * 20], "the token can be guessed"),
        (["--max-file", "much"], "not a size such as 200MB"),
        (["--max-file", "0"], "not a size"),
        (["gone.fsvc"], "gone.fsvc: no such engine"),
    ],
)
def test_what_it_refuses(arguments, expected):
    result = run("serve", "--no-open", *arguments, code=USAGE)
    assert expected in " ".join(result.stderr.split()) and TOKEN not in result.stderr


def test_an_address_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}: cannot be listened on" in run("serve", "--port", port, code=USAGE).stderr
    assert not (tmp_path / "home" / "jobs.db").exists()


def test_a_missing_package_is_named(monkeypatch):
    found = serve.importlib.util.find_spec
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name))
    assert 'pip install "fastsvc[web]"' in run("serve", code=USAGE).stderr


def test_settings_of_the_options(tmp_path):
    options = {"memory": 1, "max_file": 2, "keep": 0.5, "keep_size": 3, "drain": 4.0, "home": "here", "token": None}
    settings = serve.settings_of((), **options, port=7, queue=8, hosts=("a.example",), uploads=False)
    assert settings == ServeSettings(
        port=7, queue=8, hosts=("a.example",), uploads=False, home=tmp_path / "here", token=None,
        memory_bytes=1, max_bytes=2, keep_s=1800.0, keep_bytes=3, drain_s=4.0,
    )  # fmt: skip
    assert TOKEN not in repr(ServeSettings(token=TOKEN, home=tmp_path))
    with pytest.raises(ConfigError):
        ServeSettings(host="192.168.1.7", home=tmp_path)


LIFE = """
import sys
from fastapi.testclient import TestClient
from fastsvc.serve import server
from fastsvc.serve.settings import ServeSettings
app = server.create_app(ServeSettings(home=sys.argv[1], warm=False))
with TestClient(app, "http://127.0.0.1") as client:
    for path in ("/", "/readyz", "/metrics", "/api/v1/engines", "/api/v1/voices", "/api/v1/limits"):
        assert client.get(path).status_code == 200, path
    options = {"options": '{"speaker": "slt", "format": "mp3", "rate": 44100, "f0": "harvest"}'}
    assert client.post("/api/v1/jobs", files={"file": ("a.wav", b"x")}, data=options).status_code == 415
    assert client.post("/api/v1/engines", files={"file": ("a.exe", b"x")}).status_code == 415
    with client.websocket_connect("ws://127.0.0.1/api/v1/stream") as socket:
        socket.send_text('{"rate_hz": 16000, "speaker": "slt", "gain": 0}')
        assert socket.receive_json()["field"] == "gain"
print("torch" in sys.modules)
"""


@pytest.mark.slow
def test_the_server_itself_needs_no_pytorch(tmp_path):
    """It takes seconds to import and 200 MB for good; recordings and voices are for workers alone."""
    command = [sys.executable, "-c", LIFE, str(tmp_path / "home")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_sizes():
    size = serve.Size()
    texts = {"4GB": 4 * 10**9, "1.5 mb": 1_500_000, "512k": 512_000, "12": 12, "7B": 7}
    assert {text: size.convert(text, None, None) for text in texts} == texts
    for text in ("", "-1", "4GiB", "1e9", "GB", "0.1", "9" * 13):
        with pytest.raises(click.BadParameter):
            size.convert(text, None, None)


def test_reports_of_faults_have_no_token(monkeypatch):
    for arguments in (["serve", "--token", TOKEN, "-v"], ["serve", f"--token={TOKEN}"]):
        monkeypatch.setattr(sys, "argv", ["fastsvc", *arguments])
        report = faults.details(RuntimeError("x"))
        assert "--token" in report and TOKEN not in report


def test_the_token_may_come_from_the_environment(monkeypatch):
    """Other users of a machine see command lines, not environments; workers get neither."""
    monkeypatch.setenv(serve.TOKEN_VARIABLE, "")
    assert "the token is empty" in run("serve", code=USAGE).stderr
    monkeypatch.setenv(serve.TOKEN_VARIABLE, "short")
    assert "the token can be guessed" in run("serve", code=USAGE).stderr
    monkeypatch.setenv(serve.TOKEN_VARIABLE, TOKEN)
    seen = []
    monkeypatch.setattr(server, "run", lambda settings, ready: seen.append((settings.token, dict(os.environ))))
    monkeypatch.setattr(os, "umask", lambda mask: 0)
    run("serve", "--no-open")
    assert seen[0][0] == TOKEN and serve.TOKEN_VARIABLE not in seen[0][1]


def test_strangers_do_not_fill_the_log(monkeypatch, capfd):
    """A damaged form or head makes packages warn: as often as a client likes."""
    monkeypatch.setattr(os, "umask", lambda mask: 0)
    with surroundings():
        for name in ("python_multipart.multipart", "uvicorn.error"):
            logging.getLogger(name).warning("Expected boundary character 97")
        logging.getLogger("fastsvc.serve").warning("a worker has died")
    assert capfd.readouterr().err.split("\n") == ["a worker has died", ""]
