"""The parts of a stream: rows by absolute place, the grid, pitch that is held, units by the hops."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from fastsvc.config import MelConfig
from fastsvc.engine.stream.grid import Grid
from fastsvc.engine.stream.intake import Intake
from fastsvc.engine.stream.tape import Tape
from fastsvc.errors import ConfigError
from fastsvc.features import align
from fastsvc.features.f0 import hold


def test_a_tape_gives_rows_by_their_place_and_does_not_grow():
    tape, truth, rng = Tape(2), torch.zeros(0, 2), np.random.default_rng(0)
    for _ in range(400):
        new = torch.randn(int(rng.integers(0, 20)), 2)
        tape.append(new)
        truth = torch.cat((truth, new))
        tape.forget(len(truth) - 30)
        first = max(0, len(truth) - int(rng.integers(0, 30)))
        assert torch.equal(tape.rows(first, len(truth)), truth[first:])
        beyond = tape.rows(first, len(truth) + 3)
        assert torch.equal(beyond[:-3], truth[first:]) and not beyond[-3:].any()
    assert len(tape.buffer) < 300 and tape.end == len(truth)
    assert not Tape(2).rows(-3, 2).any()
    with pytest.raises(ValueError, match="is forgotten"):
        tape.rows(0, 5)


@pytest.mark.parametrize("rate_hz", [48000, 16000])
def test_an_intake_gives_the_same_samples_in_any_order_of_asking(rate_hz):
    audio = torch.randn(4000)
    intake = Intake(rate_hz, {24000, 16000})
    intake.pushed.append(audio)
    assert intake.needs(24000, 0) == 0
    first = intake.at[24000].samples(0, 900).clone()
    assert torch.equal(intake.at[24000].samples(100, 1200)[:800], first[100:900])
    intake.total = 4000
    end = intake.at[16000].total
    assert not intake.at[16000].samples(end - 3, end + 5)[3:].any()


def test_sizes_are_whole_frames():
    grid = Grid.of(MelConfig(24000, 256), 40, 160)
    assert (grid.block, grid.lookahead) == (4, 15) and grid.block_ms == pytest.approx(42.67, abs=0.01)
    assert Grid.of(MelConfig(24000, 256), 1, 0).block == 1
    with pytest.raises(ConfigError, match="block_ms is nan"):
        Grid.of(MelConfig(), float("nan"), 0)


def test_pitch_is_held():
    f0_hz, voiced = torch.tensor([1.0, 2, 3, 4, 5]), torch.tensor([False, True, False, False, True])
    assert hold.held(f0_hz, voiced, 7.0).tolist() == [7, 2, 2, 2, 5]
    assert hold.held(f0_hz, ~voiced | voiced).tolist() == f0_hz.tolist()
    assert hold.held(f0_hz[:0], voiced[:0]).tolist() == []


def test_units_by_the_hops_do_not_depend_on_the_length():
    """Offline "nearest" moves by the length; "hops" is exact, also where a product of floats would not be."""
    ratio = (441 / 44100) / (320 / 16000)
    exact = [frame * Fraction(1, 2) // 1 for frame in range(3000)]
    for frames in (3000, 2999, 100):
        found = align.indices(10**6, frames, "hops", ratio=ratio)
        assert found.tolist() == exact[:frames]
    assert align.indices(7, 100, "hops", ratio=ratio).max() == 6
    sixteenths = (256 / 24000) / (160 / 16000)
    far = torch.arange(10**9, 10**9 + 16)
    assert align.by_hops(far, sixteenths, "hops").tolist() == [int(t) * 16 // 15 for t in far]
