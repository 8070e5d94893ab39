"""Progress in a log file is lines: no carriage return from any command, and a line now and then where it takes long."""

import contextlib
import re

import engines
import numpy as np
import pytest
import toy_corpus
import yaml
from recordings import put, tone
from teachers import TINY

from fastsvc import screen, screen_log
from fastsvc.cli import main

PERCENT = re.compile(rb"\d+%|\d+/\d+")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Songs, an engine and what it was built from, a corpus and a training's file."""
    folder = tmp_path_factory.mktemp("progress")
    engines.build_engine(folder)
    engines.native(folder / "student.pt", "student", engines.ACOUSTIC)
    for singer in ("ada", "bruno"):
        for song in range(2):
            put(folder / "songs" / singer / f"{song}.wav", tone(0.5, channels=1, hz=200.0 + 50 * song))
    toy_corpus.make(folder / "toy")
    settings = {"corpus": str(folder / "toy"), "out": str(folder / "run"), "device": "cpu", "precision": "fp32"}
    settings |= {"batch": {"size": 2, "frames": 16}, "steps": 3, "log_every": 1}
    settings |= {"task": {"denoiser": TINY, "valid_crops": 2, "valid_frames": 16}}
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    return folder


COMMANDS = {
    "prepare": "prepare {0}/songs -o {0}/corpus --jobs 1 --encoder {0}/recogniser.pt --pseudo-labels 3",
    "train": "train teacher -c {0}/run.yaml",
    "choir": "choir {0}/choir --singers 1 --no-voices --minutes 0.01 --jobs 1",
    "convert": "convert {0}/songs -m {0}/engine.fsvc --spk Ada -o {0}/out",
    "build": "build {0}/student.pt -o {0}/new.fsvc --vocoder {0}/vocoder.pt --content {0}/recogniser.pt --steps 1",
    "evaluate": "evaluate -m {0}/engine.fsvc -o {0}/evaluation --clips 0 --recordings {0}/songs/ada",
}
BARS = {
    "prepare": (b"prepare", b"units", b"clusters"),
    "train": (b"teacher step 3",),
    "choir": (b"choir",),
    "convert": (b"files",),
    "build": (),
    "evaluate": (b"recordings",),
}


def log_of(path, command: list[str]) -> bytes:
    with open(path, "w") as file, contextlib.redirect_stderr(file):
        try:
            main(command, standalone_mode=False)
        except SystemExit as stop:
            assert stop.code in (0, None), path.read_bytes()
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.sampled(3)
def test_a_log_holds_lines_alone(place, monkeypatch, capsys, name):
    monkeypatch.setattr(screen_log, "INTERVAL_S", 0.0)
    log = log_of(place / f"{name}.log", [part.format(place) for part in COMMANDS[name].split()])
    assert b"\r" not in log and b"\x1b" not in log and b"\n\n" not in log and (not log or log.endswith(b"\n"))
    assert b", ," not in log
    lines = log.splitlines()
    for bar in BARS[name]:
        assert any(bar in line and PERCENT.search(line) for line in lines), log
    if not BARS[name]:  # a line for each pass, as results are
        assert len(capsys.readouterr().out.splitlines()) >= 5


def test_the_interval_is_kept(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen_log.time, "monotonic", lambda: now[0])
    monkeypatch.setattr("time.time", lambda: now[0])
    with open(tmp_path / "log", "w") as file, contextlib.redirect_stderr(file):
        with screen.bar(total=100, desc="work") as bar:
            for _ in range(100):
                now[0] += 1.0
                bar.update()
                bar.refresh()
        with screen.bar(total=9, desc="short", delay=screen_log.INTERVAL_S) as bar:
            bar.update(9)
            bar.refresh()
    lines = (tmp_path / "log").read_text().splitlines()
    shares = [int(re.search(r"(\d+)/100", line)[1]) for line in lines]
    assert len(shares) in (5, 6) and shares[0] == 0 and shares[-1] == 100, lines
    assert all(np.diff(shares[:-1]) >= 27) and not any("short" in line for line in lines)
