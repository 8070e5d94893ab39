"""Mel, loudness and resampling: equal to upstream's, exact lengths, odd and tiny inputs."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fastsvc.audio.loudness import frame_rms
from fastsvc.audio.mel import _BLOCK_FRAMES, filter_bank, log_mel
from fastsvc.audio.resample import resample, resampled_length
from fastsvc.config import MelConfig

GOLDEN = Path(__file__).parent / "data" / "golden" / "features.npz"
TINY = MelConfig(hop_samples=1, fft_samples=64, window_samples=64, bins=8)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as data:
        return {name: torch.from_numpy(data[name]) for name in ("audio", "mel", "volume")}


def relative(got, want):
    return float((got - want).norm() / (want - want.mean()).norm())


def test_mel_equals_upstream(golden):
    got = log_mel(golden["audio"][None], MelConfig())
    want = golden["mel"].transpose(1, 2)
    assert got.shape == want.shape == (1, 187, 80)
    assert relative(got, want) < 1e-5
    assert (got - want).abs().max() < 1e-4


def test_volume_equals_upstream(golden):
    got = frame_rms(golden["audio"][None], 128)
    assert got.shape == (1, 187)
    assert relative(got[0], golden["volume"]) < 5e-6  # measured: 1.2e-6


@pytest.mark.parametrize(
    "config",
    [
        MelConfig(),
        MelConfig(rate_hz=44100, hop_samples=512, fft_samples=2048, window_samples=2048, bins=128, high_hz=16000.0),
        MelConfig(rate_hz=16000, hop_samples=160, window_samples=400, bins=64, low_hz=0.0, high_hz=7600.0),
    ],
)
def test_filter_bank_equals_librosa(config):
    librosa = pytest.importorskip("librosa", reason="the package librosa is not installed")
    want = librosa.filters.mel(
        sr=config.rate_hz, n_fft=config.fft_samples, n_mels=config.bins, fmin=config.low_hz, fmax=config.high_hz
    )
    np.testing.assert_allclose(filter_bank(config), want, rtol=1e-5, atol=1e-8)


def test_mel_frames_and_short_inputs():
    config = MelConfig()
    for samples, frames in ((0, 0), (127, 0), (128, 1), (129, 1), (255, 1), (256, 2), (12801, 100)):
        got = log_mel(torch.randn(2, samples), config)
        assert got.shape == (2, frames, 80) and bool(got.isfinite().all())
    assert log_mel(torch.ones(1, 1), TINY).shape == (1, 1, 8)


def test_mel_with_a_window_shorter_than_the_transform_and_an_odd_hop():
    config = MelConfig(rate_hz=16000, hop_samples=161, window_samples=400, bins=64, high_hz=8000.0)
    assert log_mel(torch.randn(1, 161 * 7), config).shape == (1, 7, 64)
    # Frame i is centred on (i + 1/2) * hop: an impulse there is seen most in frame i.
    audio = torch.zeros(1, 161 * 9)
    audio[0, 161 * 4 + 80] = 1.0
    assert int(log_mel(audio, config).sum(2).argmax()) == 4


def test_mel_of_a_long_input_is_that_of_its_parts():
    torch.manual_seed(0)
    config = MelConfig(hop_samples=8, fft_samples=64, window_samples=64, bins=16)
    audio = torch.randn(1, 8 * (2 * _BLOCK_FRAMES + 3))
    whole = log_mel(audio, config)
    assert whole.shape[1] == 2 * _BLOCK_FRAMES + 3
    start = _BLOCK_FRAMES - 100  # across the seam of two blocks, without the reflected ends
    part = log_mel(audio[:, 8 * start : 8 * (start + 200)], config)
    torch.testing.assert_close(whole[:, start + 10 : start + 190], part[:, 10:190], rtol=1e-4, atol=1e-4)


def test_mel_is_differentiable_and_right_in_float64():
    torch.manual_seed(0)
    audio = torch.randn(1, 40, dtype=torch.float64, requires_grad=True)
    config = MelConfig(rate_hz=8000, hop_samples=8, fft_samples=16, window_samples=16, bins=4, high_hz=4000.0)
    assert torch.autograd.gradcheck(lambda x: log_mel(x, config), audio)


def test_mel_tables_made_in_inference_mode_serve_training():
    config = MelConfig(bins=37)  # a configuration that nothing else has cached
    with torch.inference_mode():
        log_mel(torch.randn(1, 512), config)
    audio = torch.randn(1, 512, requires_grad=True)
    log_mel(audio, config).sum().backward()
    assert audio.grad.abs().sum() > 0


def test_two_configurations_do_not_share_a_filter_bank():
    audio = torch.randn(1, 2048)
    low = log_mel(audio, MelConfig(low_hz=30.0))
    assert not torch.allclose(low, log_mel(audio, MelConfig(low_hz=300.0)))
    natural = log_mel(audio, MelConfig(log_base="e"))
    torch.testing.assert_close(natural, low * np.log(10), rtol=1e-5, atol=1e-5)


def test_frame_rms_of_short_inputs():
    assert frame_rms(torch.ones(2, 127), 128).shape == (2, 0)
    torch.testing.assert_close(frame_rms(torch.full((1, 640), 0.5), 128), torch.full((1, 5), 0.5))
    assert frame_rms(torch.ones(1, 1), 1).tolist() == [[1.0]]


@pytest.mark.parametrize("rates", [(8000, 24000), (44100, 24000), (24000, 44100), (96000, 24000), (24000, 24001)])
@pytest.mark.parametrize("samples", [0, 1, 2, 441, 10007])
def test_resampled_length_is_exact(rates, samples):
    got = resample(np.ones((2, samples), np.float32), *rates)
    assert got.shape == (2, resampled_length(samples, *rates)) and got.dtype == np.float32
    assert abs(got.shape[1] - samples * rates[1] / rates[0]) <= 0.5


def test_audio_at_the_right_rate_needs_no_soxr(monkeypatch):
    monkeypatch.setitem(sys.modules, "soxr", None)
    audio = np.arange(5, dtype=np.float32)
    got = resample(audio, 16000, 16000)
    assert (got == audio).all() and got is not audio


def test_resampling_keeps_pitch_phase_and_channels():
    def tone(rate, hz):
        return np.sin(2 * np.pi * hz * np.arange(rate) / rate).astype(np.float32)

    got = resample(np.stack([tone(44100, 440), tone(44100, 1000)]), 44100, 24000)
    inside = slice(500, -500)  # the ends ring
    np.testing.assert_allclose(got[0, inside], tone(24000, 440)[inside], atol=1e-4)
    np.testing.assert_allclose(got[1, inside], tone(24000, 1000)[inside], atol=1e-4)


def test_resampling_to_the_same_rate_copies():
    audio = np.ones(5, np.float32)
    got = resample(audio, 8000, 8000)
    got[0] = 0
    assert audio[0] == 1
    with pytest.raises(ValueError):
        resample(audio, 0, 8000)


def test_resampling_in_pieces_changes_nothing(monkeypatch):
    from fastsvc.audio import resample as module

    audio = np.random.default_rng(0).standard_normal((2, 30011)).astype(np.float32)
    whole = resample(audio, 44100, 24000)
    monkeypatch.setattr(module, "_PIECE_SAMPLES", 1000)
    np.testing.assert_allclose(resample(audio, 44100, 24000), whole, atol=1e-6)
    np.testing.assert_array_equal(whole[0, 5:-5] != 0, True)
