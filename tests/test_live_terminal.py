"""`fastsvc live` in a terminal, from a shell: keys, Ctrl-Z and fg, every end, and pauses; cards are a stand-in."""

import contextlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import engines
import pytest

from fastsvc.audio import io

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")]
ROOT = Path(__file__).parent.parent
DEVICES = [["Mic", 1, 0, 16000.0], ["Speaker", 0, 2, 24000.0]]
PATIENCE_S = 60


class Shell:
    """An interactive bash with jobs, in a terminal of its own."""

    def __init__(self, folder: Path):
        import fcntl
        import pty
        import struct
        import termios

        environment = {**os.environ, "FAKE_CARDS": str(folder / "cards.json"), "PS1": "$ ", "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join((str(ROOT / "tests" / "cards"), str(ROOT)))
        self.pid, self.handle = pty.fork()
        if not self.pid:
            os.chdir(folder)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in a shell's background jobs, where this may run
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)  # noqa: S606
        fcntl.ioctl(self.handle, termios.TIOCSWINSZ, struct.pack("4H", 40, 220, 0, 0))
        self.text = ""

    def send(self, text: str) -> None:
        self.text = ""
        os.write(self.handle, text.encode())

    def wait(self, pattern: str) -> str:
        """All that was printed since the last :meth:`send`, once it holds ``pattern``."""
        import select

        until = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.text):
            assert time.monotonic() < until, f"no {pattern!r} in {self.text[-3000:]!r}"
            if select.select([self.handle], [], [], 1)[0]:
                self.text += os.read(self.handle, 65536).decode("utf-8", "replace")
        return self.text

    def foreground(self) -> int:
        """The process group in the foreground, whose number is that of its first process."""
        return os.tcgetpgrp(self.handle)

    def code(self) -> int:
        """Of the command that ended."""
        self.send("echo co''de $?\n")
        return int(re.search(r"code (\d+)", self.wait(r"code \d+"))[1])

    def settings(self) -> str:
        """Of the terminal, as the shell sees them; without the prompt that may have followed them already."""
        self.send("stty -a; echo en''d\n")
        return self.wait("end\r").partition("end\r")[0]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            group = self.foreground()
            if group not in (0, self.pid):
                os.killpg(group, signal.SIGKILL)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.handle)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"), steps=(1,))


@pytest.fixture
def shell(tmp_path):
    (tmp_path / "cards.json").write_text(json.dumps({"devices": DEVICES}), encoding="utf-8")
    shell = Shell(tmp_path)
    yield shell
    shell.close()


def begin(shell, model, *options) -> None:
    words = [sys.executable, "-m", "fastsvc", "live", "-m", str(model), "--spk", "Ada", *options]
    shell.send(" ".join(words) + "\n")
    shell.wait(r"keys: v V voice")
    shell.wait(r"in \[.*late .*Ada \+0")


def is_sane(settings: str) -> bool:
    return bool(re.search(r"(?<!-)icanon", settings) and re.search(r"(?<!-)\becho\b", settings))


@pytest.mark.long
def test_keys_and_the_terminal_while_it_is_stopped(shell, model):
    before = shell.settings()
    assert is_sane(before)
    begin(shell, model)
    for key, shows in (("v", r"Bert \+0, mix 100 %"), ("+", r"Bert \+1"), ("\x1b[B", r"Bert \+0"), ("m", "mix 90 %")):
        shell.send(key)
        shell.wait(shows)
    shell.send(" ")
    shell.wait("bypass, gain")
    shell.send("\x1a")
    shell.wait("Stopped")
    stopped_at = time.monotonic()
    assert is_sane(shell.settings())
    time.sleep(max(0.0, 1.5 - (time.monotonic() - stopped_at)))
    shell.send("fg\n")
    shell.wait(r"the process stood still for [\d.]+ s: what was recorded in that time is lost")
    shell.send("+")
    shell.wait(r"Bert \+1, bypass")
    shell.send("q")
    text = shell.wait(r"(?s)\d+ late calls, [1-9]\d* xruns\r.*\$ ")  # the drivers lost samples meanwhile
    assert "Traceback" not in text and shell.code() == 0
    settings = shell.settings()
    assert is_sane(settings) and settings.split("speed")[1] == before.split("speed")[1]


@pytest.mark.parametrize("end, code", [("\x03", 130), (signal.SIGTERM, 143)])
@pytest.mark.long
def test_the_terminal_is_as_before_however_it_ends(shell, model, end, code):
    begin(shell, model)
    if isinstance(end, str):
        shell.send(end)
    else:
        os.killpg(shell.foreground(), end)
    text = shell.wait(r"(?s)\d+ late calls, \d+ xruns\r.*\$ ")
    assert "Traceback" not in text and shell.code() == code
    assert is_sane(shell.settings())


@pytest.mark.long
def test_a_pause_is_said_and_recordings_are_whole_after_a_kill(shell, model, tmp_path):
    begin(shell, model, "--record", "in.wav", "out.wav")
    group, grown = shell.foreground(), lambda size: (tmp_path / "in.wav").stat().st_size > size
    wait_for(lambda: grown(16000))
    os.killpg(group, signal.SIGSTOP)
    shell.wait("Stopped")
    time.sleep(1.5)
    size = (tmp_path / "in.wav").stat().st_size
    shell.send("fg\n")
    shell.wait(r"the process stood still for [\d.]+ s")
    wait_for(lambda: grown(size + 16000))  # it goes on
    os.killpg(group, signal.SIGKILL)
    shell.wait("Killed")
    assert shell.code() == 137
    for name, rate_hz in (("in", 16000), ("out", 24000)):
        audio, found_hz = io.read(tmp_path / f"{name}.wav")
        assert found_hz == rate_hz and audio.shape[1] > rate_hz / 2
        assert audio.shape[1] == ((tmp_path / f"{name}.wav").stat().st_size - 44) // 2
        assert abs(audio).max() > 0.01


def wait_for(condition):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
