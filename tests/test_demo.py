"""The demo's picture and table."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluated import networks

from bench import demo
from fastsvc.evaluation import pictures, pitch

ROOT = Path(__file__).parent.parent
SPEECH = ROOT / "examples" / "recordings" / "speech"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return networks(tmp_path_factory)


@pytest.fixture(scope="module")
def engine(made):
    from fastsvc.engine import Engine

    return Engine.open(made["engine"])


def tone(hz, seconds=0.5, rate=48000):
    times = np.arange(int(seconds * rate)) / rate
    return sum(0.2 / k * np.sin(2 * np.pi * k * hz * times) for k in range(1, 6)).astype(np.float32)


def test_picture_of_any_audio(tmp_path):
    path = pictures.before_after(tmp_path / "a" / "b.png", tone(200), tone(300), 48000, "a title", transpose=7)
    assert path.read_bytes()[:4] == b"\x89PNG"
    for name, audio in {"silence": np.zeros(4800), "one": np.zeros(1)}.items():
        pictures.before_after(tmp_path / f"{name}.png", audio.astype(np.float32), audio.astype(np.float32), 48000)
    f0_hz, voiced = pictures.pitch_of(tone(200), 48000)
    assert pitch.median_hz(f0_hz, voiced) == pytest.approx(200, rel=0.01)


def test_table_is_aligned_and_has_no_nan():
    rows = [
        pictures.ConversionRow("a.wav", 1.5, "ada", 3, 200.4, 240.0, 0.99123, 0.21),
        pictures.ConversionRow("a long name.wav", 61.25, "bo", -12.0, math.nan, 60.0, math.nan, 1.0),
    ]
    lines = pictures.file_table(rows).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines) == 4
    assert "0.991" in lines[2] and "+3" in lines[2] and "–" in lines[3] and "nan" not in lines[3]


def test_demo_takes_voices_across_the_range_and_fewer_for_long_recordings(tmp_path):
    import types

    import soundfile

    from fastsvc.engine.speakers import Speakers

    names, f0_hz = tuple("abcdefgh"), (300, 100, 250, 120, 200, 140, 180, 160)
    engine = types.SimpleNamespace(speakers=names, table=Speakers(names, 0, f0_hz))
    assert demo.pick(engine, None, 2) == ["f", "c"] and demo.pick(engine, None, 9) == list(names)
    assert demo.pick(engine, "c, a") == ["c", "a"]
    for seconds, count in ((1, 3), (50, 2), (300, 1)):
        soundfile.write(tmp_path / "a.wav", np.zeros(seconds * 1000, np.float32), 1000)
        assert demo._affordable(tmp_path) == count


@pytest.mark.slow
def test_demo_converts_draws_and_names_failures(made, tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(SPEECH / "side_left.wav", folder / "sub")
    arguments = ["--input", str(folder), "--out", str(out), "--model", str(made["engine"])]
    assert demo.main([*arguments, "--voices", "ada"]) == 0
    told = capsys.readouterr().out
    assert (out / "ada" / "sub" / "side_left.wav").exists() and (out / "ada" / "sub" / "side_left.png").exists()
    assert "| side_left.wav |" in (out / "table.md").read_text() and "Listen to" in told
    (folder / "bad.wav").write_text("no audio")
    assert demo.main(arguments) == 1
    told = capsys.readouterr().out
    assert "not converted" in told and "bad.wav" in told and "| bruno |" in told.replace(" " * 2, " ")
    assert demo.main([*arguments, "--voices", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err


def test_its_threads_wait_without_spinning():
    """As those of the command line: beside a busy processor the demo took eight times as long."""
    program = (
        "import os, runpy, sys\n"
        "sys.argv = ['demo', '--help']\n"
        "try: runpy.run_module('bench.demo', run_name='__main__')\n"
        "except SystemExit: print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'])\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.stdout.endswith("False passive\n"), done.stderr
