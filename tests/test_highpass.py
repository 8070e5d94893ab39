"""What lies below every voice is taken away, and nothing else moves: the filter, the engine, prepared corpora."""

import json

import numpy as np
import pytest
import soundfile
import torch

import fastsvc
from fastsvc.artifact.bundled import VOICES
from fastsvc.audio import highpass
from fastsvc.audio.mel import log_mel
from fastsvc.config import MelConfig
from fastsvc.data.corpus import Corpus
from fastsvc.data.prepare import prepare
from fastsvc.engine.request import Request
from fastsvc.errors import ConfigError

RATES = [1000, 1999, 2000, 3999, 8000, 22050, 44100, 96000, 1_000_000]


def tone(hz, rate_hz=24000, seconds=1.2, level=0.1):
    return (level * np.cos(2 * np.pi * hz * np.arange(int(seconds * rate_hz)) / rate_hz + 0.3)).astype(np.float32)


def gain_db(hz, rate_hz) -> float:
    """Of the middle of a tone, and of its phase, too: what is left of the tone as it was."""
    audio = tone(hz, rate_hz, 1.0 if rate_hz > 100_000 else 2.4)
    got, middle = highpass.high_passed(audio, rate_hz), slice(len(audio) // 4, -len(audio) // 4)
    window = np.hanning(len(audio[middle]))
    return 20 * np.log10(abs(got[middle] * window @ audio[middle]) / (audio[middle] * window @ audio[middle]))


@pytest.mark.parametrize("rate_hz", RATES)
def test_response(rate_hz):
    for hz, least, most in [(10, -80, -40), (20, -23, -19), (41.2, -2, -1), (45, -1, -0.3), (60, -0.05, 0.05)]:
        assert least < gain_db(hz, rate_hz) < most, hz
    assert abs(gain_db(rate_hz * 0.37, rate_hz)) < 0.01


@pytest.mark.parametrize("rate_hz", [1000, 44100, 96000])
@pytest.mark.parametrize("samples", [0, 1, 2, 3, 21, 22, 500, 30000])
def test_an_offset_is_gone_from_the_first_sample_to_the_last(rate_hz, samples):
    offset = np.full(samples, 0.5, np.float32)
    got = highpass.high_passed(offset, rate_hz)
    assert got.shape == (samples,) and got.dtype == np.float32 and np.abs(got).max(initial=0) < 1e-6
    assert (offset == 0.5).all(), "its input was written to"


def test_nothing_depends_on_the_blocks_nor_moves(monkeypatch):
    audio = np.random.default_rng(0).standard_normal(70001).astype(np.float32)
    whole = highpass.high_passed(audio, 44100)
    monkeypatch.setattr(highpass, "BLOCK_SAMPLES", 3000)
    np.testing.assert_allclose(highpass.high_passed(audio, 44100), whole, atol=1e-6)
    np.testing.assert_allclose(highpass.high_passed(audio[::-1], 44100)[::-1], whole, atol=1e-5)  # no delay
    late = highpass.high_passed(np.concatenate((np.zeros(777, np.float32), audio)), 44100)[777:]
    np.testing.assert_allclose(late[9000:], whole[9000:], atol=1e-4)
    assert np.abs(whole - audio).max() > 0.01


def test_a_tone_that_begins_at_once_keeps_its_peak():
    for phase in (0.0, 0.7, np.pi / 2):
        audio = np.sin(2 * np.pi * 110 * np.arange(12000) / 24000 + phase).astype(np.float32)
        assert abs(np.abs(highpass.high_passed(audio, 24000)).max() - 1) < 0.05


@pytest.fixture(scope="module")
def engine():
    return fastsvc.load(VOICES, device="cpu")


def sung(seconds=1.0) -> np.ndarray:
    return sum(tone(220 * k, seconds=seconds) / k for k in range(1, 12))


@pytest.mark.parametrize("offset", [0.05, 0.5])
def test_an_offset_moves_neither_level_nor_features(engine, offset):
    clean = sung()
    heard, moved = (engine.extract(audio, 24000, Request(0)) for audio in (clean, clean + np.float32(offset)))
    assert moved.output_spec.gain == pytest.approx(heard.output_spec.gain, rel=1e-3)
    torch.testing.assert_close(moved.features.volume, heard.features.volume, rtol=1e-3, atol=1e-5)
    assert torch.equal(moved.features.voiced, heard.features.voiced) and heard.features.voiced.float().mean() > 0.9
    with_it = engine.extract(clean + np.float32(offset), 24000, Request(0, high_pass=False))
    assert abs(with_it.output_spec.gain / heard.output_spec.gain - 1) > 0.1, "it mattered without"


def mel_db(audio) -> torch.Tensor:
    return 20 * log_mel(torch.from_numpy(audio)[None], MelConfig())  # log10 of magnitudes


def test_the_mel_moves_by_less_than_a_tenth_of_a_decibel():
    clean = sung() + np.random.default_rng(0).normal(0, 1e-3, 24000).astype(np.float32)
    want = mel_db(highpass.high_passed(clean, 24000))
    for offset in (0.05, 0.5):
        moved = clean + np.float32(offset)
        assert (mel_db(highpass.high_passed(moved, 24000)) - want).abs().max() < 0.1
        assert (mel_db(moved) - mel_db(clean)).abs().max() > 3, "it mattered without"


def corpus(tmp_path, **options):
    folder = tmp_path / "set" / "ann"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        path = folder / f"{number}.wav"
        if not path.exists():
            soundfile.write(path, sung() + 0.1 * (number + 1), 24000, subtype="FLOAT")
    options = {"jobs": 1, "valid": 0, "test": 0, "progress": False, "peak": None, "max_seconds": 2} | options
    return prepare(tmp_path / "set", tmp_path / "out", **options)


def settings(tmp_path) -> dict:
    return json.loads((tmp_path / "out" / "settings.json").read_text())


def test_new_corpora_are_without_it(tmp_path):
    corpus(tmp_path)
    assert settings(tmp_path)["settings"]["high_pass"] is True
    assert all(abs(item.audio.mean() / 32768) < 1e-3 for item in Corpus(tmp_path / "out").items)
    assert corpus(tmp_path).reused == 2
    with pytest.raises(ConfigError, match="high_pass True there, False now"):
        corpus(tmp_path, high_pass=False)


def test_a_corpus_of_an_older_version_goes_on_as_it_was_begun(tmp_path):
    corpus(tmp_path, high_pass=False)
    made = settings(tmp_path)
    del made["settings"]["high_pass"]  # as it was written before
    (tmp_path / "out" / "settings.json").write_text(json.dumps(made))
    soundfile.write(tmp_path / "set" / "ann" / "2.wav", sung() + 0.3, 24000, subtype="FLOAT")
    report = corpus(tmp_path)
    assert report.reused == 2 and report.bad == []
    means = sorted(item.audio.mean() / 32768 for item in Corpus(tmp_path / "out").items)
    np.testing.assert_allclose(means, [0.1, 0.2, 0.3], atol=1e-2)
