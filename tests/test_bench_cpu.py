"""The CPU bench at toy sizes: its cases run, compare the right things, and keep what was measured before."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))  # bench/ is not installed

from bench import cases, cpu, models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    models.make(folder, channels=4, vocoder_channels=16, say=None)
    return folder


@pytest.mark.parametrize("part", ["denoiser", "vocoder"])
def test_timed(folder, part):
    figures = cases.timed(part, folder, seconds=0.21, repeats=2)
    assert figures["difference"] < 1e-5
    assert figures["ratio"] == pytest.approx(figures["plain"]["median_s"] / figures["compiled"]["median_s"], rel=0.2)


def test_long_and_excerpt(folder, monkeypatch):
    monkeypatch.setattr(cases.cpu_sampler, "MEL_BLOCK", 150)  # put back what excerpt() changes, too
    monkeypatch.setattr(cases.cpu_sampler, "VOCODER_BLOCK", 100)
    figures = cases.excerpt(folder, seconds=2.0)
    assert figures["blocks_frames"] == {"mel": 150, "vocoder": 100}
    assert cases.cpu_sampler.MEL_BLOCK == 375
    assert all(difference < 1e-5 for difference in figures["difference"].values())
    assert all(spread > 0.01 for spread in figures["spread"].values())
    assert cases.long(folder, minutes=0.02)["peak_mb"] > 100


def test_records_are_merged(tmp_path):
    file = tmp_path / "results" / "cpu.json"
    cpu.keep(file, "denoiser", {"ratio": 1.5})
    cpu.keep(file, "vocoder", {"ratio": 1.2})
    cpu.keep(file, "denoiser", {"ratio": 1.6})
    assert json.loads(file.read_text()) == {"denoiser": {"ratio": 1.6}, "vocoder": {"ratio": 1.2}}


def test_recording_is_the_same_every_time():
    short, longer = cases.recording(1.0), cases.recording(12.0)
    assert (short == longer[: len(short)]).all() and 0.1 < abs(longer).max() < 1
