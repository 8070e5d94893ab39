"""bench.f0 on songs of known pitch, and bench.retrieval: what they compare and report."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parent.parent))  # bench/ is not installed

from bench import f0, retrieval
from fastsvc.evaluation import trackers


@pytest.mark.parametrize("factor, expected", [(1.0, 1.0), (2.0, 0.0)])
def test_songs_are_held_against_their_own_pitch(tmp_path, factor, expected):
    """Two songs of one folder; a truth an octave higher is no longer met, and is counted as an octave's error."""
    for number, (name, seconds) in enumerate((("vibrato", 1.0), ("rests", 1.3))):
        audio, f0_hz = trackers.signals(seconds)[name]
        path = tmp_path / "singer" / f"song{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, audio, trackers.RATE_HZ)
        every = round(0.005 * trackers.RATE_HZ)
        path.with_suffix(".json").write_text(json.dumps({"f0_hop_s": 0.005, "f0_hz": list(factor * f0_hz[::every])}))
    figures = f0.on_songs(f0.tracker("yin", "cpu"), tmp_path)
    assert (figures["recordings"], figures["seconds"]) == (2, 2)
    assert figures["songs"]["accuracy"] == pytest.approx(expected, abs=0.06)
    assert figures["songs"]["octave"] == pytest.approx(1 - expected, abs=0.06)
    assert set(figures["softer"]) == set(figures["songs"]) and figures["songs"]["voicing"] < 0.15
    assert "songs: accuracy | songs: octave" in f0.table({"yin": figures}, songs=True)


def test_searches_are_timed():
    figures = retrieval.measure(vectors=500, channels=16, queries=30, repeats=1)
    assert list(figures) == ["exact", "nprobe"] and all(row["median_s"] > 0 for row in figures.values())
    assert np.isfinite([row["mb"] for row in figures.values()]).all()
