"""The device's resampler: its weights by definition, its response beside soxr's, lengths, cuts, odd rates."""

import math
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from fastsvc.audio import io, polyphase
from fastsvc.audio.resample import resample, resampled_length
from fastsvc.engine import conversion
from fastsvc.engine.conversion import OutputSpec
from fastsvc.engine.cuda import resampling
from fastsvc.engine.cuda.joining import DeviceJoin

RECORDINGS = sorted((Path(__file__).parent.parent / "examples" / "recordings").glob("*/*.*"))
RATES = [(44100, 24000), (48000, 16000), (22050, 24000), (24000, 44100), (40000, 32000), (11025, 48000), (96000, 22050)]


def ours(audio, from_hz, to_hz):
    return polyphase.resampled(torch.as_tensor(audio), from_hz, to_hz).numpy()


def by_definition(audio, from_hz, to_hz):
    """Each output as the sum of the inputs around it, in float64."""
    divisor, taps = math.gcd(from_hz, to_hz), polyphase.prototype(from_hz, to_hz)
    up, down, reach = to_hz // divisor, from_hz // divisor, taps.shape[1] // 2
    padded, places = (
        np.pad(audio.astype(np.float64), reach),
        np.arange(resampled_length(len(audio), from_hz, to_hz)) * down,
    )
    padded = np.pad(padded, (0, 2 * reach))
    return np.array([padded[n // up :][: 2 * reach + 1] @ taps[n % up] for n in places])


@pytest.mark.parametrize("from_hz, to_hz", RATES)
def test_lengths_and_values(from_hz, to_hz):
    rng = np.random.default_rng(0)
    for samples in (0, 1, 2, 3, 100, 2205, 3001):
        audio = rng.uniform(-1, 1, samples).astype(np.float32)  # full scale
        got = ours(audio, from_hz, to_hz)
        assert got.shape == (resampled_length(samples, from_hz, to_hz),) and got.dtype == np.float32
        np.testing.assert_allclose(got, by_definition(audio, from_hz, to_hz), atol=2e-6)


def response(resampler, from_hz, to_hz):
    """(frequencies in lower half-rates, gains), from impulses at all places between two outputs."""
    divisor = math.gcd(from_hz, to_hz)
    up, down, half = to_hz // divisor, from_hz // divisor, from_hz // 100
    answer = np.zeros(2 * half * up + 1)
    for middle in range(2 * half, 2 * half + down):
        impulse = np.zeros(4 * half + down, np.float32)
        impulse[middle] = 1
        out = resampler(impulse, from_hz, to_hz)
        place = np.arange(len(out)) * down - middle * up
        near = np.abs(place) <= half * up
        answer[place[near] + half * up] = out[near]
    size = 1 << (len(answer) - 1).bit_length()
    hz = np.arange(size // 2 + 1) * from_hz * up / size
    return hz / (min(from_hz, to_hz) / 2), np.abs(np.fft.rfft(answer, size)) / up


@pytest.mark.parametrize("from_hz, to_hz", [(48000, 16000), (44100, 24000), (24000, 44100)])
def test_the_response_is_soxrs(from_hz, to_hz):
    pytest.importorskip("soxr")
    at, gain = response(ours, from_hz, to_hz)
    _, soxr_gain = response(resample, from_hz, to_hz)
    assert np.abs(20 * np.log10(gain[at <= polyphase.PASS])).max() < 1e-4  # soxr's: up to 0.009 dB
    assert 20 * np.log10(gain[at >= 1].max()) < -124 and 20 * np.log10(soxr_gain[at >= 1].max()) < -124
    half_power = [at[np.flatnonzero(one < 0.5**0.5)[0]] for one in (gain, soxr_gain)]
    assert half_power[0] == pytest.approx(half_power[1], abs=1e-3)
    assert np.abs(gain - soxr_gain).max() < 0.017 and np.abs(gain - soxr_gain)[at < 0.9].max() < 1e-3


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_recordings_differ_from_soxrs_less_than_its_own_qualities(path):
    """HQ and VHQ differ by −49 to −82 dB, HQ and the device by −63 to −94 dB; where all is in the pass band, 1e-5."""
    pytest.importorskip("soxr")
    audio, rate_hz = io.read(path)
    audio = np.ascontiguousarray(audio[0][: 2 * rate_hz])
    for to_hz in {16000, 24000, 44100} - {rate_hz}:
        want, finer = (resample(audio, rate_hz, to_hz, quality).astype(np.float64) for quality in ("HQ", "VHQ"))
        got = ours(audio, rate_hz, to_hz)
        off, apart = (np.sqrt(np.square(one - want).mean() / np.square(want).mean()) for one in (got, finer))
        assert off < max(apart, 1e-5)


def test_batches_silence_and_constants():
    audio = torch.rand(2, 3, 1500) - 0.5
    got = polyphase.resampled(audio, 44100, 16000)
    assert got.shape == (2, 3, resampled_length(1500, 44100, 16000))
    torch.testing.assert_close(got[1, 2], polyphase.resampled(audio[1, 2], 44100, 16000), atol=1e-6, rtol=0)
    assert not polyphase.resampled(torch.zeros(1000), 44100, 24000).any()
    inner = polyphase.resampled(torch.ones(4000), 44100, 24000)[200:-200]
    torch.testing.assert_close(inner, torch.ones_like(inner), atol=1e-6, rtol=0)
    assert torch.equal(polyphase.resampled(audio, 24000, 24000), audio)


def test_there_and_back():
    """No delay: a tone in the pass band comes back as it was."""
    tone = np.sin(2 * np.pi * 3000 * np.arange(6000) / 44100).astype(np.float32)
    back = ours(ours(tone, 44100, 24000), 24000, 44100)
    assert np.abs(back - tone[: len(back)])[1000:-1000].max() < 3e-6


def test_cuts_change_nothing(monkeypatch):
    audio = np.random.default_rng(1).uniform(-1, 1, 30_011).astype(np.float32)
    whole = {rates: ours(audio, *rates) for rates in RATES}
    monkeypatch.setattr(polyphase, "MOST_COPIED", 5000)
    monkeypatch.setattr(resampling, "PIECE", 1000)
    device = resampling.DeviceResampler(torch.device("cpu"))
    for rates, want in whole.items():
        np.testing.assert_allclose(ours(audio, *rates), want, atol=3e-6)
        np.testing.assert_allclose(device(audio, *rates), want, atol=3e-6)


def test_rates_without_a_filter_and_other_qualities():
    """Tables are bounded in size; what has none goes through soxr, and the short filter stays the streams'."""
    pytest.importorskip("soxr")
    assert polyphase.polyphase(44100, 24001) is None
    for rates in ((192000, 44100), (48000, 44100), (44100, 40000), (37800, 16000), (8000, 44100)):
        made = polyphase.polyphase(*rates)
        assert made is not None and made.bank.numel() <= polyphase.MOST_BANK and made.group >= polyphase.LEAST_GROUP
    device, audio = resampling.DeviceResampler(torch.device("cpu")), np.random.default_rng(2).normal(size=3000)
    audio = audio.astype(np.float32)
    for given in ((44100, 24001), (44100, 24000, "short"), (44100, 24000, "VHQ"), (24000, 24000)):
        np.testing.assert_array_equal(device(audio, *given), resample(audio, *given))
    with pytest.raises(ValueError, match="too large"):
        polyphase.resampled(torch.zeros(10), 44100, 24001)


def test_without_memory_on_the_device_the_processor_ends_the_work(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("no")

    audio, spec = np.random.default_rng(3).normal(0, 0.1, 3000).astype(np.float32), OutputSpec(3000, 24000, 16000, 1.0)
    resampler, join = resampling.DeviceResampler(torch.device("cpu")), DeviceJoin(24000, torch.device("cpu"))
    engine = types.SimpleNamespace(rate_hz=24000, device_join=join, resample=resampler)
    want = conversion.finished_audio(audio.copy(), 24000, spec)
    monkeypatch.setattr(polyphase.Polyphase, "over", full)
    np.testing.assert_array_equal(resampler(audio, 24000, 16000), resample(audio, 24000, 16000))
    for given in (audio, torch.from_numpy(audio)):
        np.testing.assert_array_equal(conversion.joined(engine, given, spec), want)
