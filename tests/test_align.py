"""Repeating units onto mel frames, against the expansions of the projects that trained with them."""

import pathlib

import numpy as np
import pytest
import torch

from fastsvc.errors import ConfigError
from fastsvc.features.align import HOWS, align, indices

GOLDEN = pathlib.Path(__file__).parent / "data" / "golden" / "align.npz"


@pytest.mark.parametrize("how", ["nearest", "left"])
def test_golden(how):
    data = np.load(GOLDEN)
    want = data[f"units_{how}"].T
    got = align(torch.from_numpy(data["units"]).T, len(want), how)
    np.testing.assert_array_equal(got.numpy(), want)


def test_left_is_the_loop_it_replaces():
    """A unit i lasts until the frame at or after (i + 1) * frames / units."""
    for units, frames in [(1, 1), (1, 7), (49, 187), (50, 187), (3, 100), (13, 13)]:
        want, unit = [], 0
        for frame in range(frames):
            unit += frame * units >= (unit + 1) * frames
            want.append(unit)
        assert indices(units, frames, "left").tolist() == want


def test_round_is_half_a_unit_earlier_and_clamped():
    assert indices(4, 8, "round").tolist() == [0, 0, 1, 2, 2, 2, 3, 3]  # round half to even
    assert indices(3, 8, "round", ratio=0.5).tolist() == [0, 0, 1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("how", HOWS)
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
