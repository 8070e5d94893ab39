"""Whose an error is: the user's is one line and exit 2, ours says so, keeps what a report needs, and has exit 70."""

import errno
import json
import pickle
import re
import subprocess
import sys
import types
from pathlib import Path

import click
import engines
import pytest
import torch
from calls import raising, run
from recordings import put, tone

import fastsvc
from fastsvc import faults
from fastsvc.commands import common, make
from fastsvc.config import VOCODER_BACKENDS
from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.engine.cuda import gpu_parts, support
from fastsvc.engine.request import Request
from fastsvc.errors import ConfigError, EngineError, FastsvcError, MissingPackageError

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"))


# ---- exit codes and lines of the command line

TORCH = "[enforce fail at alloc_cpu] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000 bytes."
FULL = errno.ENOSPC, "No space left on device"
NONE = errno.ENOENT, "No such file or directory"
BUGS = [KeyError("gru"), TypeError("odd"), ValueError("no tile for 7 columns"), RuntimeError("odd"), IndexError("7")]
USUAL = [
    (FastsvcError("what", "do this"), "what (do this)\n"),
    (MemoryError(), "memory is too small (convert or train less"),
    (
        MemoryError("Unable to allocate 4.00 TiB for an array"),
        "memory is too small: 4.00 TiB more were asked for (convert",
    ),
    (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        "memory of the GPU is too small: 2.00 GiB",
    ),
    (RuntimeError(TORCH), "memory is too small: 4000 bytes more were asked for"),
    (OSError(*FULL, "out/a.wav"), "out/a.wav: No space left on device (free space"),
    (OSError(*FULL), "No space left on device (free space"),
    (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: Permission denied (check who"),
    (FileNotFoundError(*NONE, "gone"), "gone: No such file or directory (check"),
    (ModuleNotFoundError("No module named 'soxr'", name="soxr"), "the package soxr is not installed (install it"),
    (faults.BrokenProcessPool("died"), "a worker process was killed, probably for lack of memory"),
]
OURS = [
    *BUGS,
    AssertionError(),
    RecursionError("too deep"),
    EOFError("early"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    OSError(errno.EBADF, "Bad file descriptor"),
    OSError("no number"),
    FileNotFoundError(*NONE, str(Path(fastsvc.__file__).parent / "gone.txt")),
    ImportError("cannot import name 'x' from 'fastsvc.audio'", name="fastsvc.audio"),
]


def named(value):
    return type(value).__name__ if isinstance(value, BaseException) else None


@pytest.mark.parametrize("error, line", USUAL, ids=named)
def test_what_is_the_users_is_one_line(monkeypatch, error, line):
    monkeypatch.setattr("fastsvc.commands.doctor.report", raising(error))
    result = run("doctor")
    assert result.exit_code == 2 and result.stderr.startswith(f"error: {line}") and result.stderr.count("\n") == 1
    assert not list(Path("kept").iterdir())
    assert "Traceback" in run("doctor", "-v").stderr


@pytest.mark.parametrize("error", OURS, ids=named)
def test_what_is_ours_says_so_and_keeps_a_report(monkeypatch, error):
    monkeypatch.setattr("fastsvc.commands.doctor.report", raising(error))
    result = run("doctor")
    assert result.exit_code == 70 and result.stderr.count("\n") == 1 and result.stdout == ""
    assert result.stderr.startswith(f"a fault of fastsvc: {type(error).__name__}")
    kept = re.search(r"please report it with (\S+\.txt), which", result.stderr)[1]
    text = Path(kept).read_text(encoding="utf-8")
    for part in (
        "command: ",
        f"versions: fastsvc {fastsvc.__version__}, torch {torch.__version__}",
        "Python 3",
        "Traceback",
    ):
        assert part in text
    assert type(error).__name__ in text.splitlines()[-1]
    aloud = run("doctor", "-v")
    assert aloud.exit_code == 70 and "Traceback" in aloud.stderr and "versions: fastsvc" in aloud.stderr


def test_a_report_that_cannot_be_kept(monkeypatch):
    monkeypatch.setattr(faults.tempfile, "tempdir", "/proc/none")
    monkeypatch.setattr("fastsvc.commands.doctor.report", raising(KeyError("x")))
    result = run("doctor")
    assert result.exit_code == 70 and "please report it with what the same command prints with -v" in result.stderr


def test_what_click_and_the_system_mean_stays(monkeypatch):
    def after(error, *arguments):
        monkeypatch.setattr("fastsvc.commands.doctor.report", raising(error))
        return run("doctor")

    assert after(KeyboardInterrupt()).exit_code == 130
    assert "Aborted" in after(click.Abort()).output and "fault" not in after(click.Abort()).output
    usage = after(click.UsageError("not so"))
    assert usage.exit_code == 2 and "Error: not so" in usage.output
    assert after(click.exceptions.Exit(5)).exit_code == 5
    pipe = after(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert pipe.exit_code == 1 and pipe.stderr == ""


@pytest.mark.slow
def test_a_broken_pipe_for_real():
    command = [sys.executable, "-m", "fastsvc", "doctor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert b"fault" not in errors and b"Traceback" not in errors


# ---- batches


class Odd:
    """An engine whose part ``broken`` raises."""

    def __init__(self, engine, broken, error):
        self.engine, self.broken, self.error = engine, broken, error

    def __getattr__(self, name):
        return raising(self.error) if name == self.broken else getattr(self.engine, name)


@pytest.mark.parametrize("part", ["extract", "synthesise_many", "join"])
@pytest.mark.parametrize(
    "error, ours", [(KeyError("x"), True), (MemoryError(), False), (EngineError("no"), False)], ids=named
)
def test_entries_tell_our_faults_from_the_users(folder, part, error, ours):
    put(Path("in/a.wav"), tone(0.05))
    planned = plan(["in"], "out")
    engine = Odd(fastsvc.load(folder, device="cpu"), part, error)
    report = batch.run(engine, planned, batch.ConversionSettings(Request(0)))
    (entry,) = report.failures
    assert entry.reason.startswith("a fault of fastsvc: KeyError: 'x' at ") == ours
    assert bool(entry.traceback) == ours and ("Traceback" in entry.traceback) == ours


def test_a_batch_says_once_what_to_report(folder, monkeypatch):
    for name in "ab":
        put(Path(f"in/{name}.wav"), tone(0.05))
    Path("in/c.wav").write_text("no audio")
    monkeypatch.setattr(fastsvc.engine.Engine, "join", raising(KeyError("x")))
    result = run("convert", "in", "-m", folder, "--spk", 0, "--report", "r.json")
    assert result.exit_code == 1 and "Traceback" not in result.stderr
    assert "2 of them by a fault of fastsvc, not by the recording: please report it with" in result.stderr
    (kept,) = Path("kept").iterdir()
    assert "KeyError: 'x'" in kept.read_text() and "versions: " in kept.read_text()
    files = json.loads(Path("r.json").read_text())["files"]
    assert [file["reason"].startswith("a fault of fastsvc") for file in files] == [True, True, False]
    assert ["traceback" in file for file in files] == [True, True, False]
    assert "Traceback" in run("convert", "in", "-m", folder, "--spk", 0, "-v").stderr


# ---- the rest


def test_errors_survive_their_way_out_of_a_worker():
    for error in (ConfigError("what", "do"), MissingPackageError("triton", "this", "gpu"), EngineError("x")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)
        assert (again.message, again.remedy) == (error.message, error.remedy)


@pytest.mark.parametrize("error", [RuntimeError("Cannot copy out of meta tensor"), KeyError("x")], ids=named)
def test_a_checkpoint_that_is_not_written_for_a_fault_of_ours(monkeypatch, tmp_path, error):
    from fastsvc.training import checkpoint

    about = {"kind": "teacher", "step": 1, "config": {}, "speakers": [], "speaker_f0_hz": [], "model": {}, "ema": {}}
    monkeypatch.setattr(torch, "save", raising(error))
    with pytest.raises(type(error)):
        checkpoint.save(tmp_path / "x.pt", **about)
    assert not list(tmp_path.glob("*.pt*")) and not list(tmp_path.glob(".*.tmp"))


def test_settings_that_are_the_users(tmp_path):
    from fastsvc.data import records
    from fastsvc.training import optim

    for name in ("tpu", "cuda:x", "cuda:9999", "CPU", "", "meta", "cuda:7"):
        with pytest.raises(ConfigError, match="device"):
            optim.device_of(name)
    put(Path("in/anna/a.wav"))
    source = types.SimpleNamespace(name="a", path=Path("in/anna/a.wav"))
    Path("records").mkdir()
    for text in ("{}", '{"files": 5, "items": 3}', '{"files": [], "items": [1]}', '{"items": [{"file": 5}]}'):
        Path("records/a.json").write_text(text)
        assert list(records.finished([source], Path(), 2)) == []  # prepared again


def test_programs_say_so_too(monkeypatch, capsys):
    from bench import demo
    from bench.ablation import run as ablation

    monkeypatch.setattr(demo, "run", raising(KeyError("x")))
    assert demo.main([]) == 70 and "demo: a fault of fastsvc: KeyError: 'x'" in capsys.readouterr().err
    monkeypatch.setattr(demo, "run", raising(EngineError("what")))
    assert demo.main([]) == 1 and capsys.readouterr().err == "demo: what\n"
    monkeypatch.setattr(ablation, "read_plan", raising(KeyError("x")))
    assert ablation.main(["-c", "x"]) == 70 and "ablation: a fault of fastsvc" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        ablation.main(["-c", "x", "--seeds", "one"])
    assert stop.value.code == 2


def test_a_note_after_building_tells_our_faults_too(monkeypatch, capsys):
    from fastsvc.commands import gpu

    monkeypatch.setattr(support, "why_no_cuda", lambda: None)
    monkeypatch.setattr(gpu_parts, "architecture", lambda device: 90)
    monkeypatch.setattr(fastsvc.engine.Engine, "open", raising(KeyError("x")))
    gpu.after_building("x.fsvc", "auto")
    assert (
        "note: the engine does not run on this machine's GPU: a fault of fastsvc: KeyError: 'x'"
        in capsys.readouterr().out
    )


def test_choices_are_the_same_everywhere():
    """Lists of words on the command line are those that Python checks."""
    options = {option.name: option for option in make.build.params}
    assert tuple(options["vocoder_backend"].type.choices) == VOCODER_BACKENDS
    assert common.UNUSABLE == 2 and common.SOME_FAILED == 1
