"""The public judges against what they said when they were first run, on recordings of the repository."""

import json
import math

import numpy as np
import pytest

from bench.hearing import EXAMPLES
from fastsvc.audio import io
from fastsvc.errors import MissingPackageError
from fastsvc.evaluation import choir_table
from fastsvc.evaluation.ears import columns, melody, opinion, packages, voice, words

ABSENT = packages.missing()
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"extra ears (make ears): no {', '.join(ABSENT)}")


def recording(name):
    audio, rate_hz = io.read(EXAMPLES / "recordings" / name, mono=True)
    return audio[0], rate_hz


@pytest.fixture(scope="module")
def center():
    return recording("speech/front_center.wav")


@pytest.fixture(scope="module")
def left():
    return recording("speech/side_left.wav")


# Of the package distillmos 0.9.1 itself: 4.34344 and 4.26611.
def test_opinion_is_that_of_the_package(center, left):
    assert opinion.mos(*center) == pytest.approx(4.3434, abs=0.01)
    assert opinion.mos(*left) == pytest.approx(4.2661, abs=0.01)


def test_opinion_does_not_depend_on_level_but_on_noise(center):
    audio, rate_hz = center
    plain = opinion.mos(audio, rate_hz)
    assert opinion.mos(0.05 * audio, rate_hz) == pytest.approx(plain, abs=1e-3)
    assert opinion.mos(audio, rate_hz, None) == pytest.approx(plain, abs=1e-3)
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(audio)).astype(np.float32)
    assert opinion.mos(audio + noise, rate_hz) < plain - 0.5


@pytest.mark.slow
def test_opinion_of_what_is_longer_than_a_segment():
    audio, rate_hz = recording("singing/viktor.wav")
    assert opinion.mos(audio, rate_hz) == pytest.approx(2.0927, abs=0.02)  # distillmos: 2.09271


def test_voices_of_one_person_are_closer_than_those_of_two(center, left):
    other = recording("singing/viktor.wav")
    own, again, else_ = (voice.embed(*one) for one in (center, left, (other[0][: 3 * other[1]], other[1])))
    assert np.linalg.norm(own) == pytest.approx(1) and own.min() >= 0
    assert voice.similarity(own, again) == pytest.approx(0.79, abs=0.03)  # Resemblyzer, at two levels: 0.77
    assert voice.similarity(own, else_) < 0.62


def test_words_are_heard(center, left):
    assert words.words(*center) == ["front", "center"]
    assert words.words(0.02 * left[0], left[1]) == ["side", "left"]


def test_pitch_is_heard_and_a_transposition_is_told():
    rate_hz = 16000
    time = np.arange(rate_hz) / rate_hz
    tones = [sum(np.sin(2 * np.pi * k * f * time) / k for k in range(1, 9)) * 0.1 for f in (220.0, 440.0)]
    low, high = (melody.track(tone.astype(np.float32), rate_hz) for tone in tones)
    assert np.median(low[0][low[1]]) == pytest.approx(220, rel=0.01)
    assert melody.within(high, low) == 0 and melody.within(high, low, 12) > 0.95
    assert melody.within(low, low) == 1


@pytest.mark.parametrize("audio", [np.zeros(0, np.float32), np.zeros(16000, np.float32)])
def test_silence_is_not_judged(audio):
    assert math.isnan(opinion.mos(audio, 16000)) and np.isnan(voice.embed(audio, 16000)).all()
    assert words.words(audio, 16000) == []
    nothing = melody.track(audio, 16000)
    assert math.isnan(melody.within(nothing, nothing))


def test_columns_of_evaluate(left):
    audio, rate_hz = left
    assert columns.wanted("auto") == columns.wanted("always") == (True, "")
    found = columns.of_recording(0.5 * audio, audio, rate_hz, 0)
    assert list(found) == list(columns.COLUMNS)
    assert found["mos"] == pytest.approx(4.2661, abs=0.01) and found["level_db"] == pytest.approx(-6.02, abs=0.05)
    assert found["voice_to_source"] == pytest.approx(1, abs=1e-3) and found["f0_within_50"] > 0.9
    choir = columns.of_choir(left, left)
    assert choir["voice_to_truth"] == pytest.approx(1) and set(choir) < set(choir_table.COLUMNS)


@pytest.mark.slow
def test_the_whole_table_of_one_recording(tmp_path, monkeypatch, capsys):
    from bench import ears

    path = EXAMPLES / "recordings" / "speech" / "front_center.wav"
    options = ["--recordings", str(path), "--steps", "1", "--out", str(tmp_path), "--quiet", "--targets", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["ears", *options])
    code = ears.main()
    written = json.loads((tmp_path / "ears.json").read_text())
    systems = [row["system"] for row in written["rows"]]
    assert systems == ["input", "WORLD copy", "Griffin-Lim", "formula", "copy-synthesis", "1 step"]
    assert code == (0 if written["verdict"]["passed"] else 1)
    assert written["rows"][0]["mos"] == pytest.approx(4.3434, abs=0.01) and not written["stages"]
    assert all(abs(row["level_db"]) < 3 for row in written["rows"] if row["system"] != "copy-synthesis")
    assert written["verdict"]["line"] in capsys.readouterr().out
    assert "to target" not in (tmp_path / "ears.md").read_text()  # no recordings of the voice
    monkeypatch.setattr("sys.argv", ["ears", *options, "--resume"])
    assert ears.main() == code
    assert json.loads((tmp_path / "ears.json").read_text())["rows"] == written["rows"]


def test_what_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="--no-deps distillmos==0.9.1"):
        packages.weights("distillmos")
    with pytest.raises(MissingPackageError, match=r"fastsvc\[ears\]"):
        packages.weights("swift_f0")
    assert set(packages.missing()) == {*packages.WEIGHTS, "xls_r_sqa"}
