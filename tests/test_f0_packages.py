"""Praat, SwiftF0 and PESTO: against their packages, in pieces, at any level, in threads, and without their packages."""

import concurrent.futures
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fastsvc.errors import CheckpointError, MissingPackageError
from fastsvc.evaluation import trackers
from fastsvc.features import f0
from fastsvc.features.f0 import constant_q, external, networks, pitch_weights, swift
from fastsvc.model import pesto

DATA = Path(__file__).parent / "data" / "f0"
METHODS = {"pm": "parselmouth", "swift": "swift_f0", "pesto": "pesto"}
RESTS = trackers.signals(1.0)["rests"][0]


def runs(method):
    if importlib.util.find_spec(METHODS[method]) is None:
        pytest.skip(f"the package {METHODS[method]} is not installed")


def golden_audio():
    return torch.from_numpy(np.load(DATA / "packages.npz")["audio"].astype(np.float32) / 32768)


def track(method, audio=RESTS, **options):
    return f0.extract(audio, trackers.RATE_HZ, trackers.HOP, len(audio) // trackers.HOP, method=method, **options)


def test_pesto_equals_the_package():
    runs("pesto")
    golden, network = np.load(DATA / "pesto.npz"), networks.network("pesto", torch.device("cpu"))
    magnitudes = torch.cat(list(constant_q.spectrum(golden_audio())))
    with torch.inference_mode():
        probabilities, confidence = network(magnitudes)
    np.testing.assert_allclose(probabilities[golden["frames"]], golden["probabilities"], atol=2e-4)
    np.testing.assert_allclose(confidence, golden["confidence"], atol=1e-5)
    off = 1200 * np.log2(constant_q.best_hz(probabilities).numpy() / golden["f0_hz"])
    assert np.abs(off).max() < 100 / pesto.PER_SEMITONE  # the package's average, ours the parabola's top


def test_pesto_in_blocks():
    runs("pesto")
    audio = torch.cat([golden_audio()] * 3)
    whole, cut = (np.stack(constant_q.track(audio, block)) for block in (1000, 7))
    np.testing.assert_allclose(cut[0], whole[0], rtol=1e-5)
    np.testing.assert_allclose(cut[1], whole[1], atol=1e-5)


def test_the_parabola_is_exact_between_bins():
    """A Gaussian over bins is a parabola in logarithms."""
    at = torch.tensor([100.25, 200.5, 300.0, 0.0, 383.0], dtype=torch.float64)
    bins = torch.arange(pesto.PITCHES, dtype=torch.float64)
    notes = at / pesto.PER_SEMITONE
    f0_hz = constant_q.best_hz(torch.softmax(-0.3 * (bins - at[:, None]) ** 2, 1))
    torch.testing.assert_close(f0_hz[:3], 440 * 2 ** ((notes[:3] - 69) / 12))
    assert bool(torch.isfinite(f0_hz).all())


def test_pestos_voicing_does_not_depend_on_the_level():
    runs("pesto")
    loud, soft = (track("pesto", np.float32(gain) * RESTS) for gain in (1, 0.05))
    assert loud[1].mean() > 0.4 and np.mean(loud[1] != soft[1]) < 0.03
    silence = np.zeros(3 * len(RESTS), np.float32)  # rests do not make what is sung louder
    silence[: len(RESTS)] = RESTS
    assert np.mean(track("pesto", silence)[1][: len(loud[1])] != loud[1]) < 0.02


def test_swifts_pieces_change_nothing(monkeypatch):
    runs("swift")
    import swift_f0.core

    audio = np.tile(golden_audio().numpy(), 8)
    whole = swift.track(audio, 50, 1100)
    monkeypatch.setattr(swift_f0.core, "WINDOW_FRAMES", 30)
    assert len(whole) == len(audio) // swift.HOP + 1 and (whole > 0).any()
    np.testing.assert_allclose(swift.track(audio, 50, 1100), whole, rtol=1e-4)


@pytest.mark.parametrize("low_hz, high_hz", [(20, 45), (2100, 3900), (218, 222), (46.875, 47), (2090, 2093.75)])
def test_ranges_that_swift_does_not_have(low_hz, high_hz):
    """Its package refuses bands outside of 47 to 2094 Hz, and narrow ones."""
    runs("swift")
    phase = 2 * np.pi * 220 / 16000 * np.arange(8000)
    tone = sum(np.sin(k * phase + k * k) / k for k in range(1, 10)).astype(np.float32) * 0.2
    voiced = swift.track(tone, low_hz, high_hz) > 0
    assert voiced[3:-3].all() if low_hz < 220 < high_hz else not voiced.any()


def test_praats_frames_stand_at_whole_steps():
    """A glide of 4 octaves a second: half a step of delay, as where Praat centres its frames, would be 24 cents."""
    runs("pm")
    time = np.arange(8000) / 16000
    glide = np.sin(2 * np.pi * np.cumsum(100 * 16**time) / 16000).astype(np.float32)
    for samples in (8000, 7999, 7841, 7840):
        for low_hz in (50, 61.3):
            f0_hz = external.praat(glide[:samples], low_hz, 1100)
            assert len(f0_hz) == -(-samples // 160) + 1
            inner = np.flatnonzero(f0_hz)[3:-3]
            off = 1200 * np.log2(f0_hz[inner] / (100 * 16 ** (inner * 0.01)))
            assert len(inner) > 35 and np.abs(np.median(off)) < 8


def test_praat_where_the_range_ends_above_half_the_rate():
    runs("pm")
    audio = np.sin(2 * np.pi * 220 / 96000 * np.arange(48000)).astype(np.float32)
    f0_hz, voiced = f0.extract(audio, 96000, 960, 50, method="pm", low_hz=30, high_hz=24000)
    assert voiced[5:-5].all() and np.abs(f0_hz - 220).max() < 1


@pytest.mark.parametrize("method", METHODS)
def test_threads_find_the_same_and_print_nothing(method, capfd):
    runs(method)
    first = track(method)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        others = list(pool.map(lambda _: track(method), range(2)))
    for f0_hz, voiced in others:
        np.testing.assert_array_equal(f0_hz, first[0])
        np.testing.assert_array_equal(voiced, first[1])
    assert first[0].dtype == np.float32 and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("method", METHODS)
def test_white_noise_and_silence_are_unvoiced(method):
    runs(method)
    noise = 0.1 * np.random.default_rng(1).normal(size=24000).astype(np.float32)
    assert track(method, noise)[1].mean() < 0.02
    assert not track(method, np.zeros(24000, np.float32))[1].any()
    assert track(method, RESTS[: trackers.HOP])[0].shape == (1,)


@pytest.mark.parametrize(
    "method, package, command",
    [
        ("pm", "praat-parselmouth", 'pip install "fastsvc[praat]"'),
        ("swift", "swift-f0", 'pip install "fastsvc[swift]"'),
        ("pesto", "pesto-pitch", "pip install --no-deps pesto-pitch"),
    ],
)
def test_a_missing_package_says_in_one_line_what_to_install(method, package, command, monkeypatch):
    for module in METHODS.values():
        monkeypatch.setitem(sys.modules, module, None)
    for ask in (lambda: track(method), lambda: f0.require(method)):
        with pytest.raises(MissingPackageError) as raised:
            ask()
        words = f"f0 method '{method}' needs the package {package}, which is not installed (install it with: {command})"
        assert str(raised.value) == words


def test_weights_of_another_pesto_are_refused(monkeypatch, tmp_path):
    """The package has an older network beside the one that is read."""
    runs("pesto")
    content = pitch_weights.loading.load(pitch_weights.find("pesto"))
    content["state_dict"] = dict(content["state_dict"])
    content["state_dict"].pop("confidence.linear.bias")
    monkeypatch.setattr(pitch_weights.loading, "load", lambda path: content)
    with pytest.raises(CheckpointError, match="pesto's network: missing: confidence.linear.bias.*pesto-pitch again"):
        pitch_weights.read("pesto", tmp_path / "it.ckpt")


def test_nothing_of_pestos_package_is_imported():
    runs("pesto")
    track("pesto")
    assert not {"torchaudio", "pesto", "omegaconf"} & set(sys.modules)
