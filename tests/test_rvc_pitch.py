"""RVC's coarse pitch, the repetition of its units, and protection from the index, against upstream's own numbers."""

import numpy as np
import pytest
import rvc_golden
import torch

from fastsvc.features import align
from fastsvc.features.f0.styles import fill
from fastsvc.model.rvc.pitch import coarse_pitch
from fastsvc.model.rvc.protection import protected


@pytest.mark.parametrize("key", [0, 12, -7])
@pytest.mark.parametrize("track", ["sweep", "holes", "edge", "silent"])
def test_coarse_pitch(track, key):
    """Both ways: zeros left in unvoiced frames, and filled by straight lines before transposition."""
    golden = rvc_golden.pieces("pitch")
    for filled in ("", "_filled"):
        f0_hz = fill(golden[f"{track}_f0"]) if filled else golden[f"{track}_f0"]
        f0_hz = f0_hz * 2 ** (key / 12)
        np.testing.assert_allclose(f0_hz, golden[f"{track}_{key}_f0{filled}"], rtol=1e-13)
        for dtype in (torch.float64, torch.float32):
            rows = coarse_pitch(torch.from_numpy(f0_hz).to(dtype))
            assert rows.dtype == torch.int64
            np.testing.assert_array_equal(rows, golden[f"{track}_{key}_coarse{filled}"])


def test_coarse_pitch_at_the_borders():
    """Unvoiced and low are the first row, high is the last; a neighbour of each border is told from it."""
    assert coarse_pitch(torch.tensor([0.0, 1.0, 50.0, 1100.0, 9e9])).tolist() == [1, 1, 1, 255, 255]
    mels = (torch.arange(254) + 0.5) * (1127 * np.log(1150 / 750 * 1800 / 1150) / 254) + 1127 * np.log(750 / 700)
    borders = 700 * (torch.exp(mels.double() / 1127) - 1)
    assert coarse_pitch(borders - 1e-2).tolist() == list(range(1, 255))
    assert coarse_pitch(borders + 1e-2).tolist() == list(range(2, 256))


@pytest.mark.parametrize("rate", [0.0, 0.75, 1.0])
@pytest.mark.parametrize("protect", [0.0, 0.33, 0.49, 0.5, 0.7])
def test_protection(protect, rate):
    """Units twice each, those of the index (a stand-in: 100 more) mixed in by ``rate``, then protection."""
    golden = rvc_golden.pieces("features")
    units = torch.from_numpy(golden["features"])
    original = align.align(units, 22, "left")
    assert torch.equal(original, units.repeat_interleave(2, dim=0))
    changed = rate * (original + 100) + (1 - rate) * original
    got = protected(changed, original, torch.from_numpy(golden["pitchf"])[:22], protect)
    want = torch.from_numpy(golden[f"out_protect{protect}_rate{rate}"])
    torch.testing.assert_close(got, want, rtol=0, atol=2e-5)
    assert protect >= 0.5 or rate == 0.0 or not torch.equal(got, changed), "something is protected"


def test_fewer_frames_than_pitches():
    """Where there is more pitch than units, both are cut to the units, which come in twos."""
    golden = rvc_golden.pieces("features")
    frames = min(golden["cut_samples"] // 160, 2 * len(golden["features"]))
    assert frames == golden["cut_len"] == len(golden["cut_out"]) < len(golden["pitchf"])
    original = align.align(torch.from_numpy(golden["features"]), frames, "left")
    f0_hz = torch.from_numpy(golden["cut_pitchf"])
    got = protected(original + 75, original, f0_hz, 0.33)
    torch.testing.assert_close(got, torch.from_numpy(golden["cut_out"]), rtol=0, atol=2e-5)
