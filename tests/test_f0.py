"""Pitch tracking: accuracy on signals whose pitch is known, the frame grid, and bad input."""

import importlib
import sys

import numpy as np
import pytest
import torch

from fastsvc.errors import ConfigError, MissingPackageError
from fastsvc.features import f0

RATE, HOP = 24000, 256
SECONDS = 3
TIME = np.arange(RATE * SECONDS) / RATE

PITCH = {
    "sweep": 70 * (1000 / 70) ** (TIME / SECONDS),
    "low": np.full(TIME.shape, 60.0),
    "high": 1000 + 30 * np.sin(2 * np.pi * TIME),
    "vibrato": 330 * 2 ** (0.9 / 12 * np.sin(2 * np.pi * 6 * TIME)),
    "octave": np.where(TIME % 1 < 0.5, 220.0, 440.0),
}
FORMANTS = {"bright": None, "aa": ((800, 80), (1200, 90), (2800, 120)), "iy": ((300, 60), (2300, 100), (3000, 120))}


def sing(pitch_hz, formants=None, noise=0.02, seed=0, rate_hz=RATE):
    """Harmonics up to 10 kHz with phases at random, through formants, with noise."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    audio = np.zeros(len(pitch_hz))
    for harmonic in range(1, int(10000 / pitch_hz.min()) + 1):
        at = harmonic * pitch_hz
        level = 1.0 if formants is None else sum(1 / (1 + ((at - f) / b) ** 2) for f, b in formants)
        level = np.where(at < min(10000, rate_hz / 2), level / harmonic, 0)
        audio += level * np.sin(harmonic * phase + rng.uniform(0, 6.3))
    return (0.5 * audio / np.abs(audio).max() + noise * 0.1 * rng.normal(size=len(audio))).astype(np.float32)


def cents_off(f0_hz, pitch_hz, hop=HOP):
    middle = np.arange(len(f0_hz)) * hop + hop // 2
    return 1200 * np.log2(np.maximum(f0_hz, 1) / pitch_hz[np.minimum(middle, len(pitch_hz) - 1)])


def score(f0_hz, voiced, pitch_hz):
    """(raw pitch accuracy within 50 cents, share of octave errors)."""
    off = cents_off(f0_hz, pitch_hz)
    return np.mean(voiced & (np.abs(off) < 50)), np.mean(np.abs(np.abs(off) - 1200) < 100)


@pytest.mark.slow
@pytest.mark.parametrize("formants", FORMANTS)
@pytest.mark.parametrize("signal", PITCH)
def test_harmonic_signals(signal, formants):
    audio = sing(PITCH[signal], FORMANTS[formants])
    frames = len(audio) // HOP
    accuracy, octave_errors = score(*f0.extract(audio, RATE, HOP, frames), PITCH[signal])
    assert accuracy >= 0.97
    # Within one window of a jump of an octave, either answer is right.
    assert octave_errors < (0.03 if signal == "octave" else 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dio", "harvest", "pyin"])
@pytest.mark.sampled(3)
def test_other_trackers_on_the_same_grid(method):
    if method == "pyin":
        pytest.importorskip("librosa", reason="the package librosa is not installed")
    else:
        pytest.importorskip("pyworld", reason="the package pyworld-prebuilt is not installed")
    pitch = PITCH["vibrato"][: RATE // 2]
    audio = sing(pitch)
    f0_hz, voiced = f0.extract(audio, RATE, HOP, len(audio) // HOP, method=method, low_hz=100, high_hz=800)
    accuracy, octave_errors = score(f0_hz, voiced, pitch)
    assert accuracy >= 0.9 and octave_errors < 0.01
    # A frame of delay would show: the vibrato moves by up to 36 cents in one.
    steady = cents_off(f0_hz, pitch)[8:-8]
    assert np.sqrt(np.mean(steady**2)) < 15


def test_frames_are_centred():
    """A glide shows a shift in time: 2 octaves in 3 s are 8.5 cents per frame."""
    pitch = 200 * 4 ** (TIME / SECONDS)
    f0_hz, _ = f0.extract(sing(pitch), RATE, HOP, len(pitch) // HOP)
    assert np.abs(cents_off(f0_hz, pitch)[4:-4]).max() < 4


@pytest.mark.parametrize(
    "rate_hz, hop", [(8000, 80), (16000, 160), (22050, 256), (44100, 512), (48000, 480), (96000, 960)]
)
def test_rates(rate_hz, hop):
    time = np.arange(rate_hz) / rate_hz
    pitch = 180 * 2 ** (time * 1.5)
    f0_hz, voiced = f0.extract(sing(pitch, rate_hz=rate_hz), rate_hz, hop, rate_hz // hop)
    assert voiced.mean() > 0.95
    assert np.sqrt(np.mean(cents_off(f0_hz, pitch, hop)[6:-6] ** 2)) < 6


def test_noise_and_silence_are_unvoiced():
    rng = np.random.default_rng(0)
    for audio in (rng.normal(size=RATE) * 0.1, np.zeros(RATE), rng.normal(size=RATE) * 1e-5, np.full(RATE, 0.5)):
        f0_hz, voiced = f0.extract(audio.astype(np.float32), RATE, HOP, RATE // HOP)
        assert voiced.mean() < 0.02
        if not voiced.any():
            assert (f0_hz == 0).all()


def test_voicing_and_gaps():
    """Tone, a rest, a tone an octave higher: log f0 runs straight through the rest, and is held at the ends."""
    rest, tone = np.zeros(RATE // 2, np.float32), np.full(RATE // 2, 200.0)
    audio = np.concatenate((rest, sing(tone), rest, sing(2 * tone), rest))
    f0_hz, voiced = f0.extract(audio, RATE, HOP, len(audio) // HOP)
    middle = (np.arange(len(voiced)) + 0.5) * HOP / RATE
    truth = ((middle > 0.5) & (middle < 1)) | ((middle > 1.5) & (middle < 2))
    assert np.mean(voiced == truth) > 0.97
    first, last = np.flatnonzero(voiced)[[0, -1]]
    assert (f0_hz[:first] == f0_hz[first]).all() and (f0_hz[last:] == f0_hz[last]).all()
    gap = np.flatnonzero(~voiced & (middle > 0.9) & (middle < 1.6))
    assert np.abs(np.diff(np.log(f0_hz[gap]), n=2)).max() < 1e-5
    assert abs(f0_hz[gap[len(gap) // 2]] - 200 * 2**0.5) < 5


@pytest.mark.parametrize("samples, frames", [(0, 3), (1, 1), (1, 0), (1, 4), (255, 1), (5000, 40)])
@pytest.mark.parametrize("method", ["yin", "pyin"])
def test_odd_lengths(method, samples, frames):
    if method == "pyin":
        pytest.importorskip("librosa", reason="the package librosa is not installed")
    audio = sing(np.full(max(samples, 1), 220.0))[:samples]
    f0_hz, voiced = f0.extract(audio, RATE, HOP, frames, method=method)
    assert f0_hz.shape == voiced.shape == (frames,)
    assert f0_hz.dtype == np.float32 and voiced.dtype == bool
    assert np.isfinite(f0_hz).all()
    assert not voiced[-(-samples // HOP) :].any()


def test_nan_counts_as_silence():
    audio = sing(PITCH["low"])
    audio[20000:20010] = np.nan
    audio[21000] = np.inf
    f0_hz, voiced = f0.extract(audio, RATE, HOP, len(audio) // HOP)
    assert np.isfinite(f0_hz).all() and voiced.mean() > 0.8


def test_batch_equals_one_by_one():
    rows = torch.from_numpy(np.stack([sing(PITCH["sweep"]), sing(PITCH["vibrato"]), np.zeros_like(TIME, np.float32)]))
    batched = f0.extract_batch(rows, RATE, HOP, 99)
    for i, row in enumerate(rows):
        alone = f0.extract(row, RATE, HOP, 99)
        assert torch.equal(alone[0], batched[0][i]) and torch.equal(alone[1], batched[1][i])


def test_blocks_change_nothing(monkeypatch):
    audio = sing(PITCH["sweep"])
    want = f0.extract(audio, RATE, HOP, len(audio) // HOP)
    for module, frames in (("candidates", 7), ("path", 5)):
        monkeypatch.setattr(importlib.import_module(f"fastsvc.features.f0.{module}"), "BLOCK_FRAMES", frames)
    got = f0.extract(audio, RATE, HOP, len(audio) // HOP)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-4)
    np.testing.assert_array_equal(got[1], want[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_cpu():
    audio = torch.from_numpy(sing(PITCH["vibrato"]))
    want, got = (f0.extract(audio.to(device), RATE, HOP, 180) for device in ("cpu", "cuda"))
    assert got[0].device.type == "cuda"
    torch.testing.assert_close(got[0].cpu(), want[0], rtol=1e-3, atol=0)
    assert (got[1].cpu() == want[1]).float().mean() > 0.99


def test_fast_glide_of_a_high_voice():
    """An octave in 100 ms, as between two notes: needs the shorter window."""
    time = np.arange(RATE) / RATE
    pitch = 300 * 2 ** np.clip((time - 0.45) / 0.1, 0, 1)
    f0_hz, voiced = f0.extract(sing(pitch, FORMANTS["aa"]), RATE, HOP, RATE // HOP)
    assert voiced.all() and np.abs(cents_off(f0_hz, pitch)).max() < 60


def test_range_is_kept():
    f0_hz, _ = f0.extract(sing(PITCH["sweep"]), RATE, HOP, 180, low_hz=150, high_hz=600)
    assert f0_hz.min() >= 150 and f0_hz.max() <= 600


def test_best_path_is_the_cheapest():
    """Against every path there is."""
    rng = np.random.default_rng(0)
    length, count = 5, 2
    hz, cost = 100 * 2 ** rng.uniform(0, 2, (1, length, count)), rng.uniform(0, 1, (1, length, count))
    settings = {"unvoiced_cost": 0.4, "jump_cost": 0.3, "switch_cost": 0.1}

    def price(path):
        total = 0.0
        for t, k in enumerate(path):
            total += settings["unvoiced_cost"] if k == count else cost[0, t, k]
            if t and (k == count) != (path[t - 1] == count):
                total += settings["switch_cost"]
            elif t and k < count:
                total += settings["jump_cost"] * abs(np.log2(hz[0, t, k] / hz[0, t - 1, path[t - 1]]))
        return total

    best = min(price(path) for path in np.ndindex(*[count + 1] * length))
    assert price(f0.best_path(hz, cost, 0.01, **settings)[0]) == pytest.approx(best, abs=1e-5)


def test_onto_frames_reads_the_nearest_voicing():
    track = np.array([0, 0, 100, 200, 0])
    f0_hz, voiced = f0.onto_frames(track, 0.01, 1000, 5, 11)  # frames at 2.5, 7.5, 12.5 … ms
    assert voiced.tolist() == [False] * 3 + [True] * 4 + [False] * 4
    assert f0_hz[3] == 100  # its left neighbour is unvoiced: the nearest value
    assert f0_hz[4] == pytest.approx(100 * 2**0.25) and f0_hz[5] == pytest.approx(100 * 2**0.75)


def test_clear_errors(monkeypatch):
    audio = np.zeros(100, np.float32)
    with pytest.raises(ConfigError, match="f0 method is 'ear'"):
        f0.extract(audio, RATE, HOP, 1, method="ear")
    with pytest.raises(ConfigError, match="low_hz < high_hz"):
        f0.extract(audio, RATE, HOP, 1, low_hz=500, high_hz=100)


@pytest.mark.parametrize(
    "method, package", [("dio", "pyworld-prebuilt"), ("harvest", "pyworld-prebuilt"), ("pyin", "librosa")]
)
@pytest.mark.parametrize("style", ["fastsvc", "comosvc"])
def test_a_missing_tracker_says_in_one_line_what_to_install(method, package, style, monkeypatch):
    monkeypatch.setitem(sys.modules, package.partition("-")[0], None)
    for ask in (
        lambda: f0.extract(np.zeros(4 * HOP, np.float32), RATE, HOP, 4, method=method, style=style),
        lambda: f0.require(method),
    ):
        with pytest.raises(MissingPackageError) as raised:
            ask()
        assert str(raised.value).endswith(f"(install it with: pip install {package})")
        assert "\n" not in str(raised.value) and method in str(raised.value)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("samples", [1, 2, 5, 31, 32, 33, 64, 65, 200])
def test_decimation_in_blocks(factor, samples, monkeypatch):
    """In blocks as in one: the same numbers, however the blocks fall."""
    candidates = importlib.import_module("fastsvc.features.f0.candidates")
    audio = torch.randn(2, samples)
    whole = candidates.decimate(audio, factor)
    assert whole.shape == (2, -(-samples // factor))
    for block in (1, 3, 16):
        monkeypatch.setattr(candidates, "BLOCK_SAMPLES", block)
        torch.testing.assert_close(candidates.decimate(audio, factor), whole, rtol=1e-6, atol=1e-6)
