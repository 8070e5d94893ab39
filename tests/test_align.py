"""Repeating units onto mel frames, against the expansions of the projects that trained with them."""

import pathlib

import numpy as np
import pytest
import torch

from fastsvc.errors import ConfigError
from fastsvc.features.align import METHODS, align, indices

GOLDEN = pathlib.Path(__file__).parent / "data" / "golden" / "align.npz"


@pytest.mark.parametrize("how", ["nearest", "left"])
def test_golden(how):
    data = np.load(GOLDEN)
    want = data[f"units_{how}"].T
    got = align(torch.from_numpy(data["units"]).T, len(want), how)
    np.testing.assert_array_equal(got.numpy(), want)


def left_by_loop(units, frames):
    """Walk over the frames; step to the next unit where its start, in float32, has come."""
    starts = (torch.arange(units + 1) * frames / units).tolist()
    want, unit = [], 0
    for frame in range(frames):
        unit += frame >= starts[unit + 1]
        want.append(unit)
    return want


def test_left_is_the_loop_it_replaces():
    for units, frames in [(1, 1), (1, 7), (49, 187), (50, 187), (3, 100), (13, 13), (7, 3), (100, 86)]:
        assert indices(units, frames, "left").tolist() == left_by_loop(units, frames)


def test_left_keeps_the_rounding_of_long_recordings():
    units, frames = 15999, 60000  # 320 s at 187.5 frames a second
    got = indices(units, frames, "left")
    assert got.tolist() == left_by_loop(units, frames)
    assert not torch.equal(got, torch.arange(frames) * units // frames)


@pytest.mark.parametrize("rate_hz, hop", [(44100, 512), (24000, 128), (48000, 480)])
def test_round_is_the_gather_of_ddsp_svc(rate_hz, hop):
    """index = clamp(round(ratio * arange)) with the ratio of hops, 320 samples at 16 kHz (DDSP-SVC, Diffusion-SVC)."""
    frames = 40000
    ratio = (hop / rate_hz) / (320 / 16000)
    units = int(frames * ratio) - 1
    want = np.minimum(np.round(np.float32(ratio) * np.arange(frames, dtype=np.float32)).astype(np.int64), units - 1)
    np.testing.assert_array_equal(indices(units, frames, "round", ratio=ratio).numpy(), want)


def test_round_is_half_a_unit_earlier_and_clamped():
    assert indices(4, 8, "round").tolist() == [0, 0, 1, 2, 2, 2, 3, 3]  # round half to even
    assert indices(3, 8, "round", ratio=0.5).tolist() == [0, 0, 1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("how", METHODS)
@pytest.mark.parametrize("units, frames", [(1, 1), (1, 5), (5, 1), (7, 3), (2, 218), (50, 0)])
def test_odd_sizes(how, units, frames):
    index = indices(units, frames, how)
    assert index.shape == (frames,) and index.dtype == torch.int64
    assert all(0 <= i < units for i in index.tolist())
    assert bool((index.diff() >= 0).all())


def test_bad_input():
    with pytest.raises(ConfigError, match="linear"):
        align(torch.zeros(3, 2), 4, "linear")
    with pytest.raises(ConfigError, match="no units"):
        align(torch.zeros(0, 2), 4)
