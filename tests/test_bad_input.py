"""Everything that users have in their folders, through the command line and a real engine."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from engines import build_engine
from recordings import bad_folder, put, tone

from fastsvc import reading
from fastsvc.audio import io
from fastsvc.cli import main
from fastsvc.convert.index import INDEX
from fastsvc.files import InWork


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def convert(model, *arguments):
    result = CliRunner().invoke(main, ["convert", "-m", str(model), "--spk", "Ada", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def test_each_bad_file_is_one_clear_line_and_the_rest_is_converted(model, tmp_path):
    expected = bad_folder(tmp_path / "in")
    result = convert(model, "in", "-o", "out", "--report", "r.json")
    assert result.exit_code == 1
    listed = result.stderr.partition("failed:\n")[2].splitlines()
    bad = {name: word for name, word in expected.items() if word}
    assert len(listed) == len(bad)
    for name, word in bad.items():
        assert any(f"in/{name}" in line and word in line for line in listed), name
    for name in expected.keys() - bad.keys():
        source, made = io.probe(Path("in") / name), io.read((Path("out") / name).with_suffix(".wav"))
        assert made[1] == source.rate_hz and made[0].shape == (1, source.samples) and np.isfinite(made[0]).all()
    status = {entry["input"]: entry["status"] for entry in json.loads(Path("r.json").read_text())["files"]}
    assert status == {f"in/{name}": "failed" if word else "converted" for name, word in expected.items()}
    assert [path.name for path in Path("out").rglob("*") if path.name.startswith(".")] == [INDEX]


def test_only_bad_files(model, tmp_path):
    Path("empty.wav").write_bytes(b"")
    result = convert(model, "empty.wav", "gone.wav")
    assert result.exit_code == 1 and "converted 0 of 2" in result.stdout
    assert "empty.wav: the file is empty" in result.stderr and "gone.wav: no such file" in result.stderr
    assert len(result.stderr.splitlines()) == 2  # nothing came between: each is said once


def test_no_permission(model, tmp_path, monkeypatch):
    for name in ("a.wav", "b.wav"):
        put(tmp_path / "in" / name)

    def guarded(path, *args, **kwargs):
        if str(path).endswith("a.wav") and "r" in (args or ("r",))[0]:
            raise PermissionError(13, "Permission denied")
        return open(path, *args, **kwargs)

    monkeypatch.setattr(reading, "open", guarded, raising=False)
    result = convert(model, "in", "-o", "out")
    assert result.exit_code == 1 and "a.wav: no permission to read it" in result.stderr
    assert [path.name for path in Path("out").glob("[!.]*")] == ["b.wav"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do everything")
def test_no_permission_for_real(model, tmp_path):
    put(tmp_path / "in" / "a.wav").chmod(0)
    put(tmp_path / "in" / "b.wav")
    Path("locked").mkdir(mode=0o500)
    assert "no permission" in convert(model, "in", "-o", "out").stderr
    result = convert(model, "in", "-o", "locked")
    assert result.exit_code == 2 and "locked" in result.stderr


def test_the_output_folder_cannot_be_written(model, tmp_path, monkeypatch):
    put(tmp_path / "a.wav")
    from fastsvc.convert import batch

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(batch.tempfile, "TemporaryFile", refuse)
    result = convert(model, "a.wav", "-o", "out")
    assert result.exit_code == 2 and "out: no files can be written there: the disk is read-only" in result.stderr


@pytest.mark.parametrize("extra, code", [(["--spk", "nobody"], 2), (["--steps", "77"], 2), ([], 1)])
def test_without_a_result_there_is_no_output_folder(model, tmp_path, extra, code):
    """Refused before the work, or every recording was."""
    (tmp_path / "a.wav").write_text("no sound")
    result = convert(model, "a.wav", "-o", "deep/out", "--report", "reports/r.json", *extra)
    assert result.exit_code == code and not Path("deep").exists()
    assert Path("reports/r.json").exists() == (code == 1)
    put(tmp_path / "b.wav")
    assert convert(model, "a.wav", "b.wav", "-o", "deep/out").exit_code == 1
    assert [path.name for path in Path("deep/out").glob("[!.]*")] == ["b.wav"]


def test_the_disk_fills_up(model, tmp_path, monkeypatch):
    from fastsvc.audio import encode

    for name in ("a.wav", "b.wav", "c.wav"):
        put(tmp_path / "in" / name)
    real, calls = encode._Sink.write, []

    def filling(self, data):
        def full(data):
            raise OSError(28, "No space left on device")

        calls.append(1)
        return real(self, data) if len(calls) < 5 else self._guard(full, data)

    monkeypatch.setattr(encode._Sink, "write", filling)
    result = convert(model, "in", "-o", "out")
    assert result.exit_code == 1 and "the disk is full" in result.stderr
    left = list(Path("out").glob("[!.]*"))
    assert len(left) < 3 and all(io.read(path)[0].shape == (1, 6000) for path in left)


def test_what_is_in_the_place_of_a_result_is_not_lost(model, tmp_path):
    put(tmp_path / "a.wav")
    mine = put(tmp_path / "out" / "a.wav", tone(0.1)).read_bytes()
    result = convert(model, "a.wav", "-o", "out")
    assert result.exit_code == 1 and Path("out/a.wav").read_bytes() == mine
    assert "out/a.wav exists, and was not made by this command (replace it with --overwrite" in result.stderr
    Path("out/a.wav").write_bytes(b"mine")
    result = convert(model, "a.wav", "-o", "out")
    assert result.exit_code == 0 and "could not be read, and is kept as a.wav.unreadable" in result.stdout
    assert Path("out/a.wav.unreadable").read_bytes() == b"mine" and io.read("out/a.wav")[0].shape == (1, 6000)


def test_pipes_and_devices_stop_nothing(model, tmp_path):
    put(tmp_path / "in" / "a.wav")
    for path in (tmp_path / "in" / "pipe.wav", tmp_path / "in" / "z.flac", tmp_path / "named.wav"):
        os.mkfifo(path)
    (tmp_path / "in" / "zero.mp3").symlink_to("/dev/zero")
    result = convert(model, "in", "named.wav", "-o", "out", "--report", "r.json")
    assert result.exit_code == 1 and "converted 1 of 5" in result.stdout
    for name in ("in/pipe.wav", "in/z.flac", "in/zero.mp3", "named.wav"):
        assert f"failed: {name}: is not a regular file" in result.stderr
    assert io.read("out/a.wav")[0].shape == (1, 6000)


def test_what_an_earlier_run_was_killed_at_comes_last(model, tmp_path):
    for name in ("a.wav", "b.wav"):
        put(tmp_path / "in" / name)
    Path("out").mkdir()
    InWork("out").begin("in/a.wav")  # and killed
    result = convert(model, "in", "-o", "out", "--report", "r.json")
    assert result.exit_code == 0 and "note: in/a.wav was being processed when an earlier run" in result.stdout
    assert [entry["input"] for entry in json.loads(Path("r.json").read_text())["files"]] == ["in/b.wav", "in/a.wav"]
    result = convert(model, "in", "-o", "out", "--overwrite")
    assert "killed" not in result.stdout + result.stderr


def test_a_broken_engine_is_one_line(tmp_path):
    put(tmp_path / "a.wav")
    Path("x.fsvc").mkdir()
    result = convert("x.fsvc", "a.wav")
    assert result.exit_code == 2 and result.stderr.startswith("error: x.fsvc") and result.stderr.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_for_real(model, tmp_path):
    for i in range(40):
        put(tmp_path / "in" / f"{i}.wav", tone(2.0))
    command = [sys.executable, "-m", "fastsvc", "convert", "in", "-o", "out", "-m", str(model), "--spk", "0"]
    # Tests that a shell started in the background ignore Ctrl-C, and what they start would inherit that.
    heeding = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **pipes, preexec_fn=heeding)  # noqa: PLW1509 - no other thread runs here
    end = time.monotonic() + 60
    while not list(Path("out").glob("*.wav")) and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted: finished results stay" in errors and "Traceback" not in errors
    left = list(Path("out").glob("[!.]*"))
    assert 0 < len(left) < 40 and all(io.read(path)[0].shape == (1, 48000) for path in left)
