"""The short resampler: its answer, its reach, and that ranges make no difference."""

import numpy as np
import pytest
import torch

from fastsvc.audio.fir import PASS, REACH_S, ShortResampler
from fastsvc.audio.resample import resample, resampled_length

PAIRS = [(48000, 24000), (48000, 16000), (44100, 24000), (44100, 16000), (24000, 44100), (24000, 48000), (8000, 24000)]


def answer_db(resampler, hz):
    """The filter's answer at frequencies of the finer grid of both rates, in dB."""
    up, (_, count) = resampler.up, resampler.taps.shape
    seconds = (np.arange(count) - np.arange(up)[:, None] / up - resampler.reach) / resampler.from_hz
    turns = np.exp(-2j * np.pi * np.asarray(hz)[:, None] * seconds.ravel())
    return 20 * np.log10(np.abs(turns @ resampler.taps.double().numpy().ravel()) / up + 1e-12)


@pytest.mark.parametrize("from_hz, to_hz", PAIRS)
def test_what_passes_and_what_is_stopped(from_hz, to_hz):
    resampler, half_rate = ShortResampler(from_hz, to_hz), min(from_hz, to_hz) / 2
    assert resampler.reach_s <= REACH_S
    edge = PASS * half_rate
    passed = answer_db(resampler, np.linspace(0, edge, 300))
    assert np.abs(passed).max() < 0.1
    # narrower than what is left below the half-rate where 2 ms allow it, else at most 1.16 kHz wide
    stop = edge + max(0.1 * half_rate, 1160.0)
    assert answer_db(resampler, np.linspace(stop, min(from_hz * resampler.up / 2, 1e5), 2000)).max() < -70


@pytest.mark.parametrize("from_hz, to_hz", [*PAIRS, (44101, 24000), (16000, 16000)])
def test_ranges_are_parts_of_the_whole(from_hz, to_hz):
    """And outputs lie at their inputs' times; 44101 has no matrix."""
    resampler, rng = ShortResampler(from_hz, to_hz), np.random.default_rng(0)
    audio = torch.from_numpy(rng.standard_normal(3000).astype(np.float32))
    whole = resample(audio.numpy(), from_hz, to_hz, "short")
    assert len(whole) == resampled_length(3000, from_hz, to_hz)
    for first, last in ((500, 501), (500, 900), (501, 620), (733, 1000)):
        start, end = resampler.needs(first, last)
        got = resampler(audio[start:end], first, last)
        assert np.abs(got.numpy() - whole[first:last]).max() < 1e-5
    count = resampler.final(3000)
    assert resampler.needs(0, count)[1] <= 3000 < resampler.needs(0, count + 1)[1]
    tone = np.sin(2 * np.pi * 440 * np.arange(4000) / from_hz).astype(np.float32)
    made = resample(tone, from_hz, to_hz, "short")
    want = np.sin(2 * np.pi * 440 * np.arange(len(made)) / to_hz)
    assert np.abs(made - want)[200:-200].max() < 1e-3


def test_no_samples():
    assert len(resample(np.zeros(0, np.float32), 48000, 16000, "short")) == 0
    assert ShortResampler(48000, 16000).final(0) == 0
