"""Every tracker on the same signals: a sweep, vibrato, notes with rests, noise. `python -m bench.f0` has the table."""

import importlib.util

import numpy as np
import pytest
import torch

from fastsvc.config import F0_METHODS
from fastsvc.evaluation import trackers
from fastsvc.features import f0
from fastsvc.features.f0 import external, pitch_weights

SIGNALS = trackers.signals(3.0)
# Bounds: sweep accuracy, vibrato accuracy, octave errors of either, voicing errors with rests and in noise.
BOUNDS = {
    "yin": (0.97, 0.95, 0.01, 0.10, 0.02),
    "pyin": (0.90, 0.85, 0.02, 0.15, 0.40),
    "dio": (0.95, 0.95, 0.01, 0.10, 0.15),
    "harvest": (0.95, 0.90, 0.01, 0.30, 0.10),
    "crepe": (0.95, 0.75, 0.25, 0.15, 0.05),
    "crepe-tiny": (0.95, 0.80, 0.05, 0.15, 0.20),
    "fcpe": (0.97, 0.95, 0.02, 0.10, 0.02),
    "pm": (0.97, 0.95, 0.02, 0.05, 0.02),
    "swift": (0.97, 0.95, 0.01, 0.05, 0.02),
    "pesto": (0.97, 0.95, 0.01, 0.06, 0.02),
}
PACKAGED = ["pm", "swift", "pesto"]
# The slow ones get part of each: a rest, the beginning of a note, a step of an octave.
MIDDLE = slice(31232, 42240)
SLOW = {"pyin": MIDDLE, "harvest": MIDDLE, "crepe-tiny": MIDDLE, "crepe": slice(34816, 42240)}


def runs(method):
    needs = {name: package for name, (package, _) in (external.PACKAGES | pitch_weights.PACKAGED).items()}
    if method in needs and importlib.util.find_spec(needs[method]) is None:
        pytest.skip(f"the package {needs[method]} is not installed")


def test_every_method_is_here():
    assert set(BOUNDS) == set(F0_METHODS) - {"rmvpe"}  # whose weights come in no package


@pytest.mark.slow
@pytest.mark.parametrize("method", BOUNDS)
@pytest.mark.sampled(3)
def test_accuracy(method):
    runs(method)
    found, part = {}, SLOW.get(method, slice(None))
    for name, (audio, true_hz) in SIGNALS.items():
        audio, true_hz = audio[part], true_hz[part]
        track = f0.extract(audio, trackers.RATE_HZ, trackers.HOP, len(audio) // trackers.HOP, method=method)
        found[name] = trackers.score(track, true_hz)
    sweep, vibrato, octave, rests, noise = BOUNDS[method]
    assert found["sweep"]["accuracy"] >= sweep and found["vibrato"]["accuracy"] >= vibrato, found
    assert max(found["sweep"]["octave"], found["vibrato"]["octave"]) <= octave, found
    assert found["rests"]["voicing"] <= rests and found["noise"]["voicing"] <= noise, found


def test_scores():
    """Half right, a quarter an octave up, a quarter far off; one frame of voicing in ten wrong."""
    true = np.repeat([200.0, 0.0], 40 * trackers.HOP)
    f0_hz, voiced = np.full(80, 200.0), np.arange(80) < 32
    f0_hz[20:30], f0_hz[30:40] = 400, 290
    assert trackers.score((f0_hz, voiced), true) == {"accuracy": 0.5, "octave": 0.25, "voicing": 0.1}
    assert np.isnan(trackers.score((f0_hz, voiced), 0 * true)["accuracy"])


@pytest.mark.parametrize("method", ["crepe-tiny", "fcpe", *PACKAGED])
@pytest.mark.parametrize("style", f0.STYLES)
def test_odd_lengths_and_grids(method, style):
    runs(method)
    options = {"method": method, "style": style}
    for rate_hz, hop, samples, frames in (
        (24000, 256, 0, 2),
        (24000, 256, 1, 0),
        (24000, 256, 1, 1),
        (24000, 256, 1, 3),
        (44100, 512, 700, 2),
        (24000, 128, 3000, 24),
        (8000, 80, 1000, 12),
    ):
        audio = 0.3 * np.sin(2 * np.pi * 220 / rate_hz * np.arange(samples)).astype(np.float32)
        audio[samples // 2 :][:1] = np.nan
        f0_hz, voiced = f0.extract(audio, rate_hz, hop, frames, **options)
        assert f0_hz.shape == voiced.shape == (frames,) and f0_hz.dtype == np.float32 and voiced.dtype == bool
        assert np.isfinite(f0_hz).all() and not voiced[-(-samples // hop) :].any()
    f0_hz, voiced = f0.extract(np.zeros(8000, np.float32), 16000, 160, 50, **options)
    if style == "fastsvc":
        assert not voiced.any() and (f0_hz == 0).all()


@pytest.mark.parametrize("method", ["crepe-tiny", "fcpe", *PACKAGED])
@pytest.mark.parametrize("rate_hz, hop", [(44100, 512), (24000, 128)])
def test_networks_stand_on_our_grid(method, rate_hz, hop):
    """A glide of two octaves a second: half a frame of shift would be 14 cents at 44.1 kHz."""
    runs(method)
    time = np.arange(rate_hz) / rate_hz
    pitch_hz = 150 * 4**time
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    audio = (sum(np.sin(k * phase + k * k) / k for k in range(1, 10)) * 0.2).astype(np.float32)
    f0_hz, voiced = f0.extract(audio, rate_hz, hop, rate_hz // hop, method=method)
    off = 1200 * np.log2(f0_hz / pitch_hz[np.arange(rate_hz // hop) * hop + hop // 2])[10:-10]
    assert voiced[10:-10].all() and abs(np.median(off)) < 6 and np.abs(off).max() < 40


@pytest.mark.parametrize("method", ["crepe-tiny", "fcpe", *PACKAGED])
def test_range_is_kept_and_a_batch_is_its_rows(method):
    runs(method)
    audio = trackers.signals(0.5)["sweep"][0]
    f0_hz, _ = f0.extract(audio, 24000, 256, 46, method=method, low_hz=150, high_hz=600)
    assert f0_hz.min() >= 150 and f0_hz.max() <= 600
    rows = torch.from_numpy(np.stack((audio, audio[::-1].copy())))
    both = f0.extract_batch(rows, 24000, 256, 46, method=method)
    for i, row in enumerate(rows):
        assert torch.equal(f0.extract(row, 24000, 256, 46, method=method)[0], both[0][i])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", ["crepe", "crepe-tiny", "fcpe", "pesto"])
def test_networks_on_a_gpu(method):
    runs(method)
    audio = torch.from_numpy(trackers.signals(0.5)["vibrato"][0])
    want, got = (f0.extract(audio.to(device), 24000, 256, 46, method=method) for device in ("cpu", "cuda"))
    assert got[0].device.type == "cuda"
    torch.testing.assert_close(got[0].cpu(), want[0], rtol=1e-3, atol=0)
