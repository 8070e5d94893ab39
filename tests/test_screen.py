"""The screen: nothing that happens to it stops the work, and nothing that others wrote plays tricks on it."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from recordings import put
from shells import ROOT, shell

from fastsvc import screen
from fastsvc.artifact import bundled
from fastsvc.cli import main

SHELL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a shell and /dev/full")
# All the ways in which something is printed; then a file is written, which shows whose number it got.
EVERYTHING = """
import contextlib, logging, os, sys, traceback, warnings
from fastsvc import screen
with screen.steady():
    import click, tqdm
    logging.basicConfig(level="INFO")
    for i in tqdm.tqdm(range(3), desc="bar", mininterval=0):
        print("line", i, flush=True)
        print("line", i, file=sys.stderr)
        click.echo("echo " * 5000)
        click.echo("echo", err=True)
        warnings.warn(f"odd {i}")
        logging.info("info")
    try:
        1 / 0
    except ZeroDivisionError:
        traceback.print_exc()
    with open("done", "w") as file:
        for number in (1, 2):
            with contextlib.suppress(OSError):
                os.write(number, b"C speaks")
        print(file.fileno(), file=file)
    print("last")
sys.exit(7)
"""
STATES = ["2>&-", ">&-", ">&- 2>&- <&-", "2>/dev/full", ">/dev/full", ">/dev/full 2>&1", "| head -1", "1</dev/null"]
CONVERT = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from fake_engine import FakeEngine
from fastsvc.cli import main
from fastsvc.engine import Engine
Engine.open = classmethod(lambda cls, path, **options: FakeEngine())
main(prog_name="fastsvc")
"""


@SHELL
@pytest.mark.parametrize("redirections", STATES)
def test_no_state_of_the_streams_stops_the_work(tmp_path, redirections):
    done = shell(redirections, EVERYTHING, cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    assert int((tmp_path / "done").read_text()) > 2
    told = "standard output cannot be written" in done.stderr
    assert told == (redirections in (">&-", ">/dev/full", "1</dev/null"))  # who has closed a pipe knows
    assert "Exception ignored" not in done.stderr and done.stderr.count("Traceback") == ("2" not in redirections)


@pytest.mark.slow
@SHELL
@pytest.mark.parametrize("redirections", ["2>&- >/dev/full", "2>&1 | head -1"])
@pytest.mark.sampled(2)
def test_convert_converts_all_whatever_becomes_of_the_streams(tmp_path, redirections):
    for name in "abcd":
        put(tmp_path / "in" / f"{name}.wav")
    (tmp_path / "fake.fsvc").mkdir()
    done = shell(redirections, CONVERT, ROOT / "tests", "convert", "in", "--spk", "0", "-v", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = sorted((tmp_path / "converted").glob("[!.]*"))
    assert [path.name for path in made] == ["a.wav", "b.wav", "c.wav", "d.wav"]
    assert len({path.read_bytes() for path in made}) == 1  # nobody's lines are among the samples


@SHELL
def test_a_description_that_cannot_be_printed_is_no_success(tmp_path):

    if not bundled.VOICES.is_dir():
        pytest.skip("no bundled voices")
    program = "from fastsvc.cli import main; main()"
    full = shell(">/dev/full", program, "inspect", bundled.VOICES, cwd=tmp_path)
    assert full.returncode == 1 and "cannot be written: [Errno 28]" in full.stderr
    assert shell("| head -1", program, "inspect", bundled.VOICES, cwd=tmp_path).returncode == 0


def test_what_is_shown():
    assert screen.shown("a\x1b[31m\r\n\t\x7f\x9b\u202e\u2066\u200f\u2028\x00") == (
        r"a\x1b[31m\r\n\t\x7f\x9b\u202e\u2066\u200f\u2028\x00"
    )
    for text in ("é ü 漢字 עברית العربية ไทย", "👩‍👩‍👧 می‌خواهم", "→ … × ½", "C:\\new", ""):
        assert screen.shown(text) == text
    assert screen.shown(os.fsdecode(b"caf\xe9") + "\ud800") == r"caf\xe9\ud800"
    assert screen.shown("one\n\ttwo\r\x1b", lines=True) == "one\n\ttwo\\r\\x1b"


class Kept:
    """A stream that keeps what is written, in an encoding that has few characters."""

    encoding = "ascii"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text.encode("ascii").decode()

    def flush(self):
        pass


def test_a_stream_escapes_what_reaches_it_unescaped():
    kept = Kept()
    stream = screen.Steady(kept)
    stream.write("\r 50%|###")
    print("done\x1b[2J é", "\ud800 x\ry\n", file=stream)
    assert kept.text == "\r 50%|###done\\x1b[2J \\xe9 \\ud800 x\\ry\n\n"
    with pytest.raises(TypeError):
        stream.write(b"bytes")


def test_a_stream_goes_on_when_there_is_room_again(tmp_path):
    class Disk(Kept):
        full = True

        def write(self, text):
            if self.full:
                raise OSError(28, "No space left on device")
            super().write(text)

    disk = Disk()
    stream = screen.Steady(disk)
    assert stream.write("lost") == 4 and stream.error.errno == 28
    disk.full = False
    stream.write("kept")
    assert disk.text == "kept" and stream.error.errno == 28  # something of it is lost


TRICK = "a\n[9 of 9] done\x1b[2K\r\u202egnp.wav"
ESCAPED = r"a\n[9 of 9] done\x1b[2K\r\u202egnp.wav"


def test_names_of_files_are_shown_escaped(tmp_path, monkeypatch):
    from fake_engine import FakeEngine

    from fastsvc.engine import Engine

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Engine, "open", classmethod(lambda cls, path, **options: FakeEngine()))
    (tmp_path / "fake.fsvc").mkdir()
    put(tmp_path / "in" / "good.wav").rename(tmp_path / "in" / TRICK)
    (tmp_path / "in" / f"bad{TRICK}").write_text("no audio at all, but text")
    done = CliRunner().invoke(main, ["convert", "in", "--spk", "0"])
    assert done.exit_code == 1
    assert ESCAPED in done.stdout and f"bad{ESCAPED}" in done.stderr
    assert not set("\x1b\r\u202e") & set(done.output) and "\n[9 of 9] done" not in done.output
    wrong = CliRunner().invoke(main, ["convert", TRICK, "-m", f"none{TRICK}"])
    assert wrong.exit_code == 2 and not set("\x1b\r\u202e") & set(wrong.output)
    usage = CliRunner().invoke(main, ["convert", "in", f"--f0={TRICK}"])
    assert usage.exit_code == 2 and not set("\x1b\r\u202e") & set(usage.output)


def test_names_in_a_strangers_engine_and_checkpoint_are_shown_escaped(tmp_path):
    import torch
    from engines import ACOUSTIC

    from fastsvc.config import to_dict
    from fastsvc.model.acoustic import AcousticModel

    names = [f"{TRICK}{i}" for i in range(ACOUSTIC.condition.speakers)]
    head = {"format": "fastsvc", "version": 1, "kind": "student", "step": 0, "ema": {}, "speakers": names}
    config = {"model": to_dict(ACOUSTIC), "train": {}}
    torch.save({**head, "config": config, "model": AcousticModel(ACOUSTIC).state_dict()}, tmp_path / "a.pt")
    done = CliRunner().invoke(main, ["inspect", str(tmp_path / "a.pt")])
    assert done.exit_code == 0, done.output
    assert ESCAPED in done.stdout and not set("\x1b\r\u202e") & set(done.stdout) and "\n[9 of 9]" not in done.stdout


WARN = """
import sys, warnings
import numpy as np
from fastsvc import screen
with screen.steady():
    for level in (0, -1, 1):
        screen.set_level(level)
        print(f"level {level}", file=sys.stderr)
        warnings.simplefilter("always")
        np.log(np.zeros(2))
        warnings.warn(sys.argv[1])
"""


def test_warnings_are_one_line_and_arithmetics_none(tmp_path):
    done = shell("", WARN, f"named {TRICK}", cwd=tmp_path)
    usual, quiet, loud = (part.splitlines()[1:] for part in done.stderr.split("level ")[1:])
    assert usual == [f"warning: named {ESCAPED}"] and quiet == []
    assert len(loud) == 2 and "RuntimeWarning: divide by zero" in loud[0] and "UserWarning: named" in loud[1]


def test_a_bar_is_a_line_or_two_in_a_log(tmp_path):
    script = "import time\nfrom fastsvc import screen\nfor _ in screen.bar(range(40)): time.sleep(0.01)"
    done = shell("", script, cwd=tmp_path)
    assert done.stderr.count("/40 ") == 2 and "40/40" in done.stderr, done.stderr  # its beginning and its end
