"""`fastsvc convert` with a fake engine: options, Ctrl-C, errors, notes, and what it never writes over."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run
from fake_engine import FakeEngine
from recordings import put, tone

from fastsvc.commands import choose
from fastsvc.engine.speakers import Speakers


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(choose.MODEL_VARIABLE, raising=False)


def test_folders_without_recordings(fake, tmp_path):
    put(tmp_path / "a.wav")
    Path("empty").mkdir()
    assert "note: empty: no recordings in it" in run("convert", "a.wav", "empty", "--spk", 0).stdout
    assert "no recordings in empty" in run("convert", "empty", "--spk", 0, code=2).stderr


@pytest.fixture
def fake(monkeypatch):
    from fastsvc.engine import Engine

    engine = FakeEngine()
    monkeypatch.setattr(Engine, "open", classmethod(lambda cls, path, **options: engine))
    Path("fake.fsvc").mkdir()
    return engine


def test_options_reach_the_engine(fake, tmp_path):
    put(tmp_path / "a.wav")
    asked = ["--spk", "carla", "--steps", 2, "--formant", 0.5, "--seed", 9, "--transpose", -2, "--f0", "yin"]
    asked += ["--f0-range", "60:1400", "--rms-mix-rate", 0.5, "--noise-scale", 0.25]
    run("convert", "a.wav", *asked, "--rate", 8000, "--no-normalise", "--no-high-pass")
    assert fake.asked == [("carla", 2, 0.5, 9, 0.25)]
    ((samples, rate_hz, speaker, heard),) = fake.calls
    assert (samples, rate_hz, speaker) == (6000, 24000, "carla")
    wanted = {"transpose": -2.0, "f0_method": "yin", "f0_weights": None, "rate_out_hz": 8000, "normalise": False}
    wanted |= dict.fromkeys(("index_rate", "protect", "index_search", "unvoiced"))
    wanted |= {"f0_fill": "interpolate", "resampler": "long"}
    assert heard == wanted | {"high_pass": False, "f0_range": (60.0, 1400.0), "rms_mix_rate": 0.5}


def test_ctrl_c_keeps_what_is_done_and_says_so(fake, tmp_path):
    for name in "abc":
        put(tmp_path / "in" / f"{name}.wav")
    fake.fail = {2: KeyboardInterrupt()}
    result = run("convert", "in", "--spk", "anna", "--report", "r.json", code=130)
    assert "interrupted" in result.stderr and "converted 1 of 3" in result.stdout
    assert [path.name for path in Path("converted").glob("[!.]*")] == ["a.wav"]
    assert json.loads(Path("r.json").read_text())["totals"]["interrupted"] is True


def test_ctrl_c_before_the_work(fake, tmp_path, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    put(tmp_path / "a.wav")
    monkeypatch.setattr("fastsvc.convert.plan.plan", stop)
    assert run("convert", "a.wav", code=130).stderr == "interrupted\n"


def test_a_stray_exception_shows_its_traceback_with_v_only(fake, tmp_path):
    put(tmp_path / "a.wav")
    put(tmp_path / "b.wav")
    fake.fail = {1: RuntimeError("odd"), 3: RuntimeError("odd")}
    result = run("convert", "a.wav", "b.wav", "--spk", 0, code=1)
    assert "a fault of fastsvc: RuntimeError: odd" in result.stderr and "Traceback" not in result.stderr
    assert "Traceback" in run("convert", "a.wav", "b.wav", "--spk", 0, "-v", "--overwrite", code=1).stderr


def test_file_names_that_are_not_text_can_be_printed(fake, tmp_path):
    import os

    put(tmp_path / "in" / "x.wav").rename(tmp_path / "in" / os.fsdecode(b"caf\xe9.wav"))
    result = run("convert", "in", "--spk", 0, "--report", "r.json")
    assert "converted 1 of 1" in result.stdout and json.loads(Path("r.json").read_text())["totals"]["failed"] == 0


def test_inputs_are_never_written_over(fake, tmp_path):
    for name in ("x/a.wav", "y/a.wav", "a.wav", "a_slt.wav"):
        put(tmp_path / name, tone(0.1))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.wav")}
    fake.table = Speakers(["slt", "a/b"], 0, [220.0] * 2)
    run("convert", "x/a.wav", "y/a.wav", "-o", ".", "--spk", "slt", "--overwrite")
    text = run("convert", "a.wav", "a_slt.wav", "-o", ".", "--spk", "slt").stdout
    assert "note: a.wav is written as a_slt-2.wav: it would replace an input" in text
    run("convert", "a.wav", "-o", ".", "--spk", "a/b")
    assert {path: path.read_bytes() for path in before} == before
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.wav") if path not in before}
    assert made == {"x/a_slt.wav", "y/a_slt.wav", "a_slt-2.wav", "a_slt_slt.wav", "a_a_b.wav"}
    text = run("convert", "x/a.wav", "y/a.wav", "-o", ".", "--spk", "slt").stdout
    assert "converted 0 of 2 files; skipped 2 whose results exist" in text


def test_names_that_crashed(fake, tmp_path):
    for name in ("①/1²2.wav", "l" * 251 + ".wav"):
        put(tmp_path / "in" / name, tone(0.1))
    run("convert", "in", "--spk", "anna", "--format", "flac", "-o", "in/.out")
    assert {path.parent.name for path in Path("in/.out").rglob("*.flac")} == {"①", ".out"}
    assert "skipped 2" in run("convert", "in", "--spk", "anna", "--format", "flac", "-o", "in/.out").stdout


def test_many_notes_are_cut_short(fake, tmp_path, monkeypatch):
    monkeypatch.setattr("fastsvc.commands.common.NOTES", 3)
    for number in range(5):
        for suffix in ("wav", "flac"):
            put(tmp_path / "in" / f"{number}.{suffix}", tone(0.02))
    text = run("convert", "in", "--spk", "anna").stdout
    assert text.count("note: in/") == 3 and "note: 2 more notes like these (-v shows all)" in text, text
    assert run("convert", "in", "--spk", "anna", "-v").stdout.count("note: in/") == 5


def test_a_failure_is_repeated_only_if_other_lines_came_after_it(fake, tmp_path):
    put(tmp_path / "b.wav", tone(0.02))
    for number in (1, 3):
        (tmp_path / f"{number}.wav").write_text("not audio")
    result = run("convert", "1.wav", "3.wav", "--spk", "anna", code=1)
    assert result.stderr.count("not an audio file") == 2 and "failed:\n" not in result.stderr
    result = run("convert", "1.wav", "b.wav", "--spk", "anna", code=1)
    assert result.stderr.splitlines()[-2:] == ["failed:", "  " + result.stderr.splitlines()[0].partition("failed: ")[2]]


def test_another_voice_into_the_same_folder_is_no_success(fake, tmp_path):
    put(tmp_path / "a.wav", tone(0.1))
    run("convert", "a.wav", "--spk", "anna")
    result = run("convert", "a.wav", "--spk", "bert", code=1)
    assert "converted/a.wav exists, made with another voice: 'anna'" in result.stderr
    assert "failed: a.wav: " in result.stderr and "replace it with --overwrite" in result.stderr


def test_the_place_of_the_report_is_checked_before_the_work(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    put(tmp_path / "a.wav", tone(0.1))
    Path("notes.json").write_text("[1]")
    for name, word in (("notes.json", "is not a report"), ("a.wav", "is an input"), ("converted", "where a folder")):
        result = run("convert", "a.wav", "--spk", "anna", "--report", name, code=2)
        assert word in result.stderr and result.stderr.count("\n") == 1
    assert not fake.calls and not Path("converted").exists() and Path("notes.json").read_text() == "[1]"
    run("convert", "a.wav", "--spk", "anna", "--out", "~/x", "--report", "~/r.json")
    assert Path("home/x/a.wav").is_file() and not Path("~").exists()
    run("convert", "a.wav", "--spk", "anna", "--out", "~/x", "--report", "~/r.json")
    assert json.loads(Path("home/r.json").read_text())["totals"]["skipped"] == 1


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("when", ["while it starts", "while it ends"])
def test_ctrl_c_before_and_after_the_work_shows_no_traceback(when):
    """The second one, say, which breaks into what PyTorch does at Python's end."""
    raised = "import os, signal; kill = lambda *_: os.kill(os.getpid(), signal.SIGINT); "
    if when == "while it starts":
        raised += "import sys; sys.meta_path.insert(0, type('Late', (), {'find_spec': kill})()); "
    else:
        raised += "import atexit; atexit.register(kill); "
    code = raised + "sys.argv = ['fastsvc', '--version']; from fastsvc.__main__ import main; main()"
    # a shell's background jobs ignore SIGINT, and this test may run in one
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heeding + "import sys, fastsvc.__main__; " + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and done.returncode in (130, -signal.SIGINT)
