"""Several channels → one: a voice keeps its level where the mean would lose it, and usual stereo stays the mean."""

import json

import numpy as np
import pytest
import soundfile
import torch
from calls import run
from fake_engine import FakeEngine

import fastsvc
from fastsvc.artifact.bundled import VOICES
from fastsvc.audio import channels, io
from fastsvc.config import MelConfig
from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.data.corpus import Corpus
from fastsvc.data.prepare import prepare
from fastsvc.engine import extraction
from fastsvc.engine.request import Request

RATE = 24000
LEVEL_DB = -20.3  # of each channel of the report
SECONDS = 2.0


def db(audio) -> float:
    return 10 * np.log10(np.square(np.asarray(audio, np.float64)).mean() + 1e-20)


def at(audio, level_db) -> np.ndarray:
    return (audio * 10 ** ((level_db - db(audio)) / 20)).astype(np.float32)


def voice(hz=180.0, seconds=SECONDS, rate_hz=RATE) -> np.ndarray:
    """With vibrato and 15 harmonics, at −20.3 dB."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * np.cumsum(hz * 2 ** (0.03 * np.sin(2 * np.pi * 5 * time_s))) / rate_hz
    return at(sum(np.sin(k * phase) / k for k in range(1, 16)), LEVEL_DB)


V = voice()
TIME_S = np.arange(len(V)) / RATE
NONE = np.zeros_like(V)


def noise(level_db, seed=0):
    return at(np.random.default_rng(seed).standard_normal(len(V)), level_db)


def tone(hz, level_db):
    return at(np.sin(2 * np.pi * hz * TIME_S), level_db)


def late(samples):
    return np.concatenate((np.zeros(samples, np.float32), V[: len(V) - samples]))


HISS = [noise(-60, seed) for seed in range(1, 6)]
LOUD = [noise(-20, seed) for seed in range(1, 6)]
# By name: channels, and a word of the note
LOST = {
    "antiphase": ([V, -V], "signs aligned"),
    "antiphase, one softer": ([V, -0.6 * V], "signs aligned"),
    "antiphase, one much softer": ([V, -0.25 * V], "channel 1 alone"),
    "antiphase, a few samples late": ([V, -late(2)], "signs aligned"),
    "antiphase with noise of their own": ([V + HISS[0], -V + HISS[1]], "signs aligned"),
    "antiphase over a common offset": ([V + 0.1, -V + 0.1], "signs aligned"),
    "antiphase over common hum": ([V + tone(50, -25), -V + tone(50, -25)], "signs aligned"),
    "antiphase in two of six": ([V, NONE, -V, NONE, NONE, NONE], "signs aligned"),
    "four, each against its neighbour": ([V, -V, V, -V], "signs aligned"),
    "one of six": ([NONE, NONE, V, NONE, NONE, NONE], "channel 3 alone"),
    "one of six, noise in the others": ([*HISS[:2], V, *HISS[2:]], "channel 3 alone"),
    "one of six, noise as loud in the others": ([*LOUD[:2], V, *LOUD[2:]], "channel 3 alone"),
    "one of six, the last a subwoofer's": ([*HISS[:2], V, *HISS[2:4], tone(60, -12)], "channel 3 alone"),
    "one of six, one with an offset": ([*HISS[:2], V, *HISS[2:4], HISS[4] + 0.5], "channel 3 alone"),
    "two of six": ([V, NONE, V, NONE, NONE, NONE], "the 2 that are alike"),
    "one of two": ([NONE, V], "channel 2 alone"),
    "one of a hundred": ([NONE] * 70 + [V] + [NONE] * 29, "channel 71 alone"),
    "half a period late": ([V, late(67)], "alone"),
}
KEPT = {
    "the same": [V, V],
    "one softer": [V, 0.3 * V],
    "not alike": [noise(-20), noise(-20, 7)],
    "a millisecond late": [V, late(24)],
    "middle and side": [V, 0.3 * V + noise(-30)],
    "wide": [V + noise(-14), V - noise(-14)],  # partly against each other: 5 dB below
    "low and high": [tone(82.4, -20), tone(880, -20)],
    "silent": [NONE, NONE],
    "one": [V],
}


@pytest.mark.parametrize("name", LOST)
def test_a_voice_keeps_its_level(name, tmp_path, monkeypatch):
    audio, said = np.stack(LOST[name][0]).astype(np.float32), LOST[name][1]
    plain = audio.mean(axis=0)
    mixed, note = channels.mixed(audio, RATE)
    assert abs(db(mixed) - LEVEL_DB) < 3 and said in note and f"{len(audio)} channels" in note, note
    if "common" not in name and "loud" not in name and "subwoofer" not in name and "offset" not in name:
        assert db(plain) < LEVEL_DB - 6, "the mean had kept it"
    assert not np.array_equal(mixed, plain)
    monkeypatch.setattr(io, "_BLOCK_SAMPLES", 5000)  # the choice is made for the whole, not for each block
    soundfile.write(tmp_path / "a.wav", audio.T, RATE, subtype="FLOAT")
    notes = []
    read, rate_hz = io.read(tmp_path / "a.wav", mono=True, note=notes.append)
    assert rate_hz == RATE and [one.rsplit(": ")[-1] for one in notes] == [note.rsplit(": ")[-1]]
    np.testing.assert_allclose(read[0], mixed, atol=1e-6)
    many, _ = io.read(tmp_path / "a.wav")
    np.testing.assert_array_equal(many, audio)


@pytest.mark.parametrize("name", KEPT)
def test_usual_channels_are_averaged_as_ever(name, tmp_path):
    audio, notes = np.stack(KEPT[name]).astype(np.float32), []
    mixed, note = channels.mixed(audio, RATE)
    np.testing.assert_array_equal(mixed, audio.mean(axis=0, dtype=np.float32))
    soundfile.write(tmp_path / "a.wav", audio.T, RATE, subtype="FLOAT")
    read, _ = io.read(tmp_path / "a.wav", mono=True, note=notes.append)
    np.testing.assert_array_equal(read[0], np.ascontiguousarray(audio.T).mean(axis=1))
    assert note == "" and notes == []


def test_a_part_in_antiphase_changes_nothing_amid_the_recording():
    """One choice for the whole: no sign and no level jumps within it."""
    audio = np.stack((V, np.where(TIME_S < 0.4 * SECONDS, -V, V)))
    assert channels.mixed(audio, RATE)[1] == ""
    audio = np.stack((V, np.where(TIME_S < 0.98 * SECONDS, -V, V)))
    mixed, note = channels.mixed(audio, RATE)
    weights = np.linalg.lstsq(audio.T, mixed, rcond=None)[0]
    np.testing.assert_allclose(mixed, weights @ audio, atol=1e-6)
    assert note and abs(db(mixed) - LEVEL_DB) < 3


@pytest.mark.parametrize("samples", [0, 1, 2, 63, 65, 1500])
@pytest.mark.parametrize("rate_hz", [1000, 44100, 1_000_000])
def test_any_length_and_rate(samples, rate_hz):
    audio = np.stack((V[:samples], -V[:samples]))
    assert channels.mixed(audio, rate_hz)[0].shape == (samples,)
    mixer = channels.Mixer()
    assert mixer(audio.T, rate_hz).shape == (samples, 1) and mixer.again() in (True, False)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_samples_that_are_no_numbers_are_named_all_the_same(bad):
    audio = np.stack((V, -V)).astype(np.float64)
    audio[1, 3000] = bad
    with pytest.raises(fastsvc.errors.AudioError, match="not finite"):
        extraction.mono(audio, RATE)


def test_a_recording_that_changed_meanwhile_is_an_error():
    mixer = channels.Mixer()
    mixer(np.stack((V, -V), axis=1), RATE)
    assert mixer.again()
    with pytest.raises(fastsvc.errors.AudioError, match="changed while it was read"):
        mixer(np.stack((V, V, V), axis=1), RATE)


def test_the_note_reaches_the_user_and_the_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from fastsvc.engine import Engine

    engine = FakeEngine()
    monkeypatch.setattr(Engine, "open", classmethod(lambda cls, path, **options: engine))
    (tmp_path / "fake.fsvc").mkdir()
    soundfile.write("song.wav", np.stack((V, -V)).T, RATE)
    result = run("convert", "song.wav", "--spk", "anna", "--report", "r.json")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("note: ")]
    assert line.startswith("note: song.wav: its channels cancel each other (antiphase)")
    assert "signs aligned" in json.loads((tmp_path / "r.json").read_text())["files"][0]["notes"][0]
    assert abs(db(io.read("converted/song.wav")[0]) - LEVEL_DB - db([0.5])) < 0.1  # it halves what it hears


def test_kept_channels_are_as_they_were(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack((V, -V)).T, RATE, subtype="FLOAT")
    settings = batch.ConversionSettings(Request({"anna": 1.0}), keep_channels=True, subtype="float")
    report = batch.run(FakeEngine(), plan([tmp_path / "a.wav"], tmp_path / "out"), settings)
    assert report.entries[0].notes == []
    np.testing.assert_allclose(io.read(tmp_path / "out" / "a.wav")[0], -0.5 * np.stack((V, -V)), atol=1e-6)


def test_the_engine_mixes_arrays_likewise():
    engine = fastsvc.load(VOICES, device="cpu")
    want, got = (engine.extract(audio, RATE, Request(0)) for audio in (V, np.stack((V, -V))))
    assert want.notes == () and float(want.features.volume.mean()) > 0.05
    torch.testing.assert_close(got.features.volume, want.features.volume)
    (note,) = got.notes
    engine.convert(np.stack((V, -V))[:, :4800], RATE, 0)
    assert "signs aligned" in note and engine.notes[0].endswith("signs aligned")
    engine.convert(V[:4800], RATE, 0)
    assert engine.notes == ()


def test_training_data_likewise(tmp_path):
    for number in range(2):
        (tmp_path / "set" / "ann").mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "set" / "ann" / f"{number}.wav", np.stack((V, V - 2 * number * V)).T, RATE)
    mel = MelConfig()
    options = {"jobs": 1, "mel": mel, "valid": 0, "test": 0, "progress": False, "peak": None}
    for again in range(2):  # what an earlier run did is told again
        report = prepare(tmp_path / "set", tmp_path / "out", **options)
        (note,) = [line for line in report.warnings if "channels" in line]
        assert note.startswith(f"{tmp_path}/set/ann/1.wav: its channels cancel each other") and report.bad == []
        assert report.reused == 2 * again
    for item in Corpus(tmp_path / "out").items:
        assert abs(db(item.audio / 32768) - LEVEL_DB) < 1
