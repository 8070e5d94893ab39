"""Mains hum in rests is unvoiced, at every mains and harmonic; soft and low singing is not."""

import numpy as np
import pytest
import torch

import fastsvc
from fastsvc.artifact.bundled import VOICES
from fastsvc.engine.request import Request
from fastsvc.features import f0, hum

RATE, HOP = 24000, 256
SECONDS = 4.0
COUNT = int(SECONDS * RATE)
TIME_S = np.arange(COUNT) / RATE
FRAMES = COUNT // HOP
SUNG = [(0.6, 1.8), (2.6, 3.4)]


def at(audio, level_db) -> np.ndarray:
    return audio * 10 ** (level_db / 20) / np.sqrt(np.square(audio).mean())


def voice(hz=220.0, level_db=-20.0, vibrato=0.02) -> np.ndarray:
    """20 harmonics, with a vibrato of so many octaves."""
    phase = 2 * np.pi * np.cumsum(hz * 2 ** (vibrato * np.sin(2 * np.pi * 5.5 * TIME_S))) / RATE
    return at(sum(np.sin(k * phase + k) / k for k in range(1, 21)), level_db)


def during(parts, fade_s=0.02) -> np.ndarray:
    gate = np.zeros(COUNT)
    for first, last in parts:
        gate[int(first * RATE) : int(last * RATE)] = 1
    window = np.hanning(int(fade_s * RATE) * 2 + 1)
    return np.convolve(gate, window / window.sum(), "same")


def lines(*hz, level_db=-50.0) -> np.ndarray:
    return sum(at(np.sin(2 * np.pi * one * TIME_S + one), level_db) for one in hz)


def frames(parts, margin_s=0.03) -> np.ndarray:
    """Whose middles lie in these parts, shorter by a margin at both ends."""
    middle = (np.arange(FRAMES) + 0.5) * HOP / RATE
    return np.any([(middle > a + margin_s) & (middle < b - margin_s) for a, b in parts], axis=0)


def tracked(audio, method="yin"):
    """(voiced as tracked, voiced after the gate, f0 after the gate)."""
    audio = audio.astype(np.float32)
    f0_hz, voiced = f0.extract(audio, RATE, HOP, FRAMES, method=method)
    return voiced, *hum.without_hum(hum.low_band(audio, RATE, HOP, FRAMES), f0_hz, voiced, "fastsvc", 50.0)[::-1]


RESTS = frames([(0, 0.6), (1.8, 2.6), (3.4, SECONDS)])
HUMS = {
    **{str(hz): lines(hz) for hz in (50, 60, 100, 120, 150, 180)},
    "50 and its multiples": lines(50, 100, 150),
    "60 and its multiples": lines(60, 120, 180),
    "of a rectifier": lines(100, 200, 300),
    "not exact": lines(50.3),
    "not exact either": lines(59.6, 119.2, level_db=-52),
    "louder": lines(50, level_db=-42),
    "with noise": lines(50) + at(np.random.default_rng(0).standard_normal(COUNT), -60),
    "a set with noise": lines(60, 120, 180) + at(np.random.default_rng(1).standard_normal(COUNT), -60),
    "rich": lines(*range(50, 1000, 100), level_db=-56),
}


@pytest.mark.parametrize("name", HUMS)
def test_rests_with_hum_are_unvoiced(name):
    before, after, f0_hz = tracked(voice() * during(SUNG) + HUMS[name])
    assert before[RESTS].mean() > 0.5, "the tracker did not take it for a voice"
    assert after[RESTS].mean() <= 0.05
    sung = frames(SUNG)
    assert after[sung].mean() > 0.95 and not (after & ~before).any()
    assert np.abs(np.log2(f0_hz[RESTS & ~after] / 220)).max() < 0.1, "the rests keep the pitch of the hum"


@pytest.mark.parametrize("hz, vibrato", [(50, 0), (98, 0), (98, 0.02), (100, 0), (100, 0.02), (150, 0), (220, 0)])
def test_a_soft_verse_stays_voiced(hz, vibrato):
    loud, soft = [(0, 1.0), (3.2, SECONDS)], [(1.2, 2.0), (2.1, 3.0)]
    audio = voice() * during(loud) + voice(hz, -50, vibrato) * during(soft)
    before, after, _ = tracked(audio)
    assert (after == before).all() and before[frames(soft)].mean() > 0.5
    legato = voice() * during(loud) + voice(hz, -50, vibrato) * during([(1.0, 3.2)])  # without any rest
    before, after, _ = tracked(legato)
    assert (after == before).all()


@pytest.mark.parametrize("hz", [50, 60, 100, 120])
def test_a_bass_stays_voiced_over_hum(hz):
    """A note at the mains' own frequency is sung, and the rests around it are not."""
    before, after, _ = tracked(voice(hz, -20, 0.0) * during(SUNG) + lines(50))
    sung = frames(SUNG)
    assert before[sung].mean() > 0.9 and (after == before)[sung].all() and after[RESTS].mean() <= 0.05
    alone = tracked(lines(hz, 2 * hz, level_db=-26))  # nothing louder is there: it may be all that is sung
    assert (alone[0] == alone[1]).all() and alone[0].mean() > 0.9


def test_a_soft_verse_over_hum_stays_and_its_rests_do_not():
    soft = [(1.2, 2.0), (2.5, 3.0)]
    audio = voice() * during([(0, 0.8), (3.4, SECONDS)]) + voice(185, -45) * during(soft) + lines(50, level_db=-60)
    before, after, _ = tracked(audio)
    assert after[frames(soft)].mean() > 0.95 and before[frames(soft)].mean() > 0.95
    audio += lines(50)
    assert tracked(audio)[1][frames([(0.8, 1.2), (2.0, 2.5), (3.0, 3.4)])].mean() <= 0.05


def test_short_rests_by_the_others():
    parts = [(i * 0.5, i * 0.5 + 0.35) for i in range(6)]
    rests = frames([(i * 0.5 + 0.35, i * 0.5 + 0.5) for i in range(5)])
    before, after, _ = tracked(voice() * during(parts) + lines(50))
    assert before[rests].mean() > 0.5 and after[rests].mean() <= 0.05


@pytest.mark.parametrize("samples", [0, 1, 100, 255, 256, 1000])
def test_any_length(samples):
    audio, count = np.full(samples, 0.1, np.float32), samples // HOP
    low = hum.low_band(audio, RATE, HOP, count)
    assert hum.hum_frames(low, np.ones(count, bool)).shape == (count,)


@pytest.mark.parametrize("style", ["fastsvc", "comosvc", "diffusion_svc"])
def test_what_is_unvoiced_is_filled_in_the_style_of_the_model(style):
    audio = (voice() * during(SUNG) + lines(50)).astype(np.float32)
    f0_hz, voiced = f0.extract(audio, RATE, HOP, FRAMES, method="yin", style=style)
    low = hum.low_band(audio, RATE, HOP, FRAMES)
    got_hz, got = hum.without_hum(low, f0_hz, voiced, style, 50.0)
    assert got_hz.dtype == np.float32 and (got_hz > 180).all() and np.array_equal(got_hz[got], f0_hz[got])
    got_hz, got = hum.without_hum(low, f0_hz, voiced & RESTS, style, 50.0)  # nothing is left
    assert (not got[RESTS].any() and (got_hz[~got] == (50 if style == "diffusion_svc" else 0)).all()) or got.any()


def test_blocks_change_nothing(monkeypatch):
    audio = (voice() * during(SUNG) + lines(50)).astype(np.float32)
    want = hum.low_band(audio, RATE, HOP, FRAMES)
    found = hum.hum_frames(want, np.ones(FRAMES, bool))
    monkeypatch.setattr(hum, "BLOCK_SAMPLES", 1000)
    monkeypatch.setattr(hum, "BLOCK_FRAMES", 7)
    got = hum.low_band(audio, RATE, HOP, FRAMES)
    np.testing.assert_allclose(got.audio, want.audio, atol=1e-6)
    np.testing.assert_allclose(got.level_db, want.level_db, atol=0.01)
    assert np.array_equal(hum.hum_frames(got, np.ones(FRAMES, bool)), found) and found.any()


def test_through_the_engine():
    """Rests with a set of lines at −45 dBFS come out no louder than they went in (3 dB louder, if they are sung)."""
    engine = fastsvc.load(VOICES, device="cpu")
    audio = (voice() * during(SUNG) + lines(50, 100, 150)).astype(np.float32)[: 3 * RATE]
    rests = np.flatnonzero(frames([(0.1, 0.5), (1.9, 2.5)])[: 3 * RATE // HOP])
    samples = (rests[:, None] * HOP + np.arange(HOP)).ravel()
    made, _ = engine.convert(audio, RATE, 0)
    before, after = (10 * np.log10(np.square(one[samples].astype(np.float64)).mean()) for one in (audio, made))
    assert after <= before, (before, after)
    tracks = [engine.extract(audio, RATE, Request(0, high_pass=on)).features.voiced for on in (True, False)]
    shares = [float(voiced[torch.from_numpy(rests)].float().mean()) for voiced in tracks]
    assert shares[0] <= 0.05 < 0.9 < shares[1]
