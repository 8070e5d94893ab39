"""Slices tile the input and cut where it is quiet; blocks with halos give what one pass gives."""

import itertools

import numpy as np
import pytest

from fastsvc.audio.slicing import blocks, slices

RATE = 8000


def check_tiling(cuts, samples, longest):
    assert cuts[0][0] == 0 and cuts[-1][1] == samples
    assert all(a[1] == b[0] for a, b in itertools.pairwise(cuts))
    assert all(0 < end - start <= longest for start, end in cuts)


def test_cuts_lie_in_the_pauses():
    audio = np.random.default_rng(0).standard_normal(RATE * 20).astype(np.float32)
    pauses = [(4.0, 4.2), (8.5, 8.7), (12.9, 13.1), (16.0, 16.2)]
    for start, end in pauses:
        audio[int(start * RATE) : int(end * RATE)] *= 1e-3
    cuts = slices(audio, RATE, 6.0)
    check_tiling(cuts, len(audio), 6 * RATE)
    inner = [end / RATE for _, end in cuts[:-1]]
    assert len(inner) == 4
    assert all(start < cut < end for cut, (start, end) in zip(inner, pauses))


@pytest.mark.parametrize("samples", [1, 79, 80, 8000, 8001, 8500, 16001, 100_003])
@pytest.mark.parametrize("channels", [None, 2])
def test_any_length_is_tiled(samples, channels):
    shape = (samples,) if channels is None else (channels, samples)
    audio = np.random.default_rng(samples).standard_normal(shape).astype(np.float32)
    cuts = slices(audio, RATE, 1.0)
    check_tiling(cuts, samples, RATE)
    assert all(end - start >= RATE // 4 for start, end in cuts) or samples < RATE


def test_silence_needs_no_more_slices_than_its_length():
    cuts = slices(np.zeros(RATE * 10, np.float32), RATE, 2.0)
    check_tiling(cuts, RATE * 10, 2 * RATE)
    assert len(cuts) == 5 or len(cuts) == 6


def test_tiny_slices_and_nothing():
    check_tiling(slices(np.ones(10, np.float32), RATE, 1 / RATE), 10, 1)
    assert slices(np.zeros(0, np.float32), RATE, 1.0) == []
    with pytest.raises(ValueError):
        slices(np.zeros(5), RATE, 0)


@pytest.mark.parametrize("frames, block, halo", [(1, 5, 3), (5, 5, 0), (17, 5, 3), (100, 7, 20), (4, 1, 2)])
def test_blocks_with_halos_equal_one_pass(frames, block, halo):
    signal = np.random.default_rng(0).standard_normal(frames)
    kernel = np.ones(2 * halo + 1)
    whole = np.convolve(np.pad(signal, halo), kernel, "valid")
    got = np.full(frames, np.nan)
    for first, last, halo_first, halo_last in blocks(frames, block, halo):
        assert last - first <= block
        part = np.convolve(np.pad(signal[halo_first:halo_last], halo), kernel, "valid")
        got[first:last] = part[first - halo_first : last - halo_first]
    np.testing.assert_allclose(got, whole, atol=1e-12)


def test_blocks_of_nothing():
    assert blocks(0, 5, 1) == []
    with pytest.raises(ValueError):
        blocks(5, 0, 1)
