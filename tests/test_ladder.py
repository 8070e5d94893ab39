"""Shapes for a GPU: cutting, batching, and slices that are never padded."""

import pytest

from fastsvc.engine.ladder import BATCHES, EVEN, FRAMES, SLICE, Ladder, Shape, even


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 94, 188, 1875, 11250, 16384])
def test_what_fits_is_one_slice(frames):
    assert Ladder().cut(frames, 20) == [(0, frames, 0, frames)]
    shape = Ladder().shape([frames])
    assert shape.batch == 1 and shape.frames in FRAMES and frames <= shape.frames
    assert all(rung < frames for rung in FRAMES if rung < shape.frames)


@pytest.mark.parametrize(
    "frames, halo, rows", [(16385, 20, 16384), (100_000, 75, 16384), (5000, 700, 1024), (40_000, 9000, 16384)]
)
def test_what_does_not_fit_is_cut_with_halos(frames, halo, rows):
    ladder = Ladder(rows)
    cuts = ladder.cut(frames, halo)
    assert [c[0] for c in cuts] == [0, *[c[1] for c in cuts[:-1]]] and cuts[-1][1] == frames
    for first, last, start, end in cuts:
        assert start == max(0, first - halo) and end == min(frames, last + halo)
        assert end - start <= max(SLICE, ladder.rung(4 * halo))


def test_batches_hold_all_slices_in_order_and_stay_within_the_rows():
    ladder, lengths = Ladder(), [94, 1875, 2048, 2048, 2048, 16384, 20000, 10, *[64] * 20]
    groups = ladder.batches(lengths)
    assert [i for group in groups for i in group] == list(range(len(lengths)))
    for group in groups:
        shape = ladder.shape([lengths[i] for i in group])
        assert len(group) <= shape.batch <= BATCHES[-1] and shape.frames >= max(lengths[i] for i in group)
        assert len(group) == 1 or shape.batch * shape.frames <= 2 * ladder.rows
    assert groups[:2] == [[0, 1, 2, 3, 4], [5]]


def test_a_smaller_ladder_when_memory_is_short():
    ladder, seen = Ladder(), []
    while ladder is not None:
        seen.append(ladder.rows)
        assert all(shape.batch * shape.frames <= ladder.rows for shape in ladder.shapes())
        ladder = ladder.halved()
    assert seen == [16384, 8192, 4096, 2048, 1024, 512]


def test_shapes_are_prepared_largest_first():
    shapes = Ladder().shapes()
    sizes = [shape.batch * shape.frames for shape in shapes]
    assert sizes == sorted(sizes, reverse=True) and len(set(shapes)) == len(shapes)
    assert Shape(1, 64) in shapes and Shape(8, SLICE) in shapes and Shape(1, 16384) in shapes


@pytest.mark.parametrize("halo", [0, 1, 13, 40, 600])
def test_even_slices_are_exact_everywhere(halo):
    """Every frame is kept from a slice that reads ``halo`` frames beyond it, or ends where the recording does."""
    for frames in [*range(1, 260), 375, 938, 1023, 1024, 1025, 1875, 5000, 11250]:
        cut = even(frames, halo)
        assert cut.length <= frames and cut.bounds[0] == 0 and cut.bounds[-1] == frames
        assert cut.length in EVEN or cut.starts == (0,)
        for start, first, last in zip(cut.starts, cut.bounds[:-1], cut.bounds[1:], strict=True):
            end = start + cut.length
            assert first < last and 0 <= start <= first and last <= end <= frames
            assert start == 0 or first - start >= halo
            assert end == frames or end - last >= halo
        assert [i for group in cut.batches() for i in group] == list(range(len(cut.starts)))


def test_even_slices_cost_little_more_than_the_recording():
    for frames, most in [(94, 1.4), (188, 1.25), (938, 1.15), (1875, 1.15), (11250, 1.15)]:
        cut = even(frames, 13)
        assert cut.length * len(cut.starts) <= most * frames
    assert all(len(group) <= 2 for group in even(11250, 13).batches(2))
