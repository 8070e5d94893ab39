"""Shapes for a GPU: cutting, batching, and slices that are never padded."""

import pytest

from fastsvc.engine import buckets
from fastsvc.engine.buckets import (
    BATCHES,
    EVEN_FRAMES,
    FRAMES,
    SLICE,
    Buckets,
    Shape,
    even_needed,
    even_shapes,
    even_slices,
)


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 94, 188, 1875, 11250, 16384])
def test_what_fits_is_one_slice(frames):
    assert Buckets().cut(frames, 20) == [(0, frames, 0, frames)]
    shape = Buckets().shape([frames])
    assert shape.batch == 1 and shape.frames in FRAMES and frames <= shape.frames
    assert all(bucket < frames for bucket in FRAMES if bucket < shape.frames)


@pytest.mark.parametrize(
    "frames, halo, rows", [(16385, 20, 16384), (100_000, 75, 16384), (5000, 700, 1024), (40_000, 9000, 16384)]
)
def test_what_does_not_fit_is_cut_with_halos(frames, halo, rows):
    buckets = Buckets(rows)
    cuts = buckets.cut(frames, halo)
    assert [c[0] for c in cuts] == [0, *[c[1] for c in cuts[:-1]]] and cuts[-1][1] == frames
    for first, last, start, end in cuts:
        assert start == max(0, first - halo) and end == min(frames, last + halo)
        assert end - start <= max(SLICE, buckets.bucket(4 * halo))


@pytest.mark.parametrize("rows", [16384, 4096])
def test_batches_hold_all_slices_in_prepared_shapes(rows):
    buckets, lengths = Buckets(rows), [94, 1875, 2048, 2048, 2048, 16384, 20000, 10, 3750, 3750, 3750, *[64] * 20]
    groups = buckets.batches(lengths)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        shape = buckets.shape([lengths[i] for i in group])
        assert len(group) <= shape.batch <= BATCHES[-1] and shape.frames >= max(lengths[i] for i in group)
        assert shape.batch == 1 or shape in buckets.shapes()
        assert 4 * len(group) >= 3 * shape.batch
    assert ([1, 2, 3, 4] in groups) == (rows == 16384) and ([1, 2] in groups) == (rows == 4096)
    assert sum(0 in group for group in groups) == 1 and len(groups) == (9 if rows == 16384 else 10)


def test_slices_of_one_length_are_put_together():
    groups = Buckets().batches([2000, 90, 2000, 90, 2000, 90, 2000, 90] * 2)
    assert groups == [[0, 2, 4, 6, 8, 10, 12, 14], [1, 3, 5, 7, 9, 11, 13, 15]]
    assert list(map(len, Buckets().batches([94] * 13))) == [8, 4, 1]
    assert list(map(len, Buckets().batches([94] * 15))) == [8, 7]


def test_what_recordings_need_is_what_they_get():
    """The shapes that are prepared for some recordings are those of cutting and batching them."""
    buckets, halo = Buckets(), 20
    assert buckets.needed([[94]], halo) == [Shape(1, 96)]
    assert buckets.needed([[94, 1875], [94, 94]], halo) == [Shape(1, 2048), Shape(2, 96), Shape(1, 96)]
    long = buckets.needed([[40_000]], halo)
    assert long[0] == Shape(8, SLICE) and all(shape in buckets.shapes() for shape in long)
    for frames in (50, 375, 1875, 11250):
        cut = even_slices(frames, 13)
        needed = even_needed([frames], 13)
        made = {(len(group), cut.length) for group in cut.batches()}
        assert made == {(s.batch, s.frames) for s in needed} or (cut.length not in EVEN_FRAMES and not needed)
        assert set(needed) <= set(even_shapes(13))
    assert even_shapes(13)[0] == Shape(8, 1024) and len(even_shapes(13)) == 6 * len(EVEN_FRAMES)
    assert all(shape.frames > 600 for shape in even_shapes(300)) and even_shapes(13, most=1)[0] == Shape(1, 1024)


def test_a_smaller_ladder_when_memory_is_short():
    buckets, seen = Buckets(), []
    while buckets is not None:
        seen.append(buckets.rows)
        assert all(shape.batch * shape.frames <= buckets.rows for shape in buckets.shapes())
        buckets = buckets.halved()
    assert seen == [16384, 8192, 4096, 2048, 1024, 512]


def test_shapes_are_prepared_largest_first():
    shapes = Buckets().shapes()
    sizes = [shape.batch * shape.frames for shape in shapes]
    assert sizes == sorted(sizes, reverse=True) and len(set(shapes)) == len(shapes)
    assert Shape(1, 64) in shapes and Shape(8, SLICE) in shapes and Shape(1, 16384) in shapes


@pytest.mark.parametrize("halo", [0, 1, 13, 40, 600])
def test_even_slices_are_exact_everywhere(halo):
    """Every frame is kept from a slice that reads ``halo`` frames beyond it, or ends where the recording does."""
    for frames in [*range(1, 260), 375, 938, 1023, 1024, 1025, 1875, 5000, 11250]:
        cut = even_slices(frames, halo)
        assert cut.length <= frames and cut.bounds[0] == 0 and cut.bounds[-1] == frames
        assert cut.length in EVEN_FRAMES or cut.starts == (0,)
        for start, first, last in zip(cut.starts, cut.bounds[:-1], cut.bounds[1:], strict=True):
            end = start + cut.length
            assert first < last and 0 <= start <= first and last <= end <= frames
            assert start == 0 or first - start >= halo
            assert end == frames or end - last >= halo
        assert [i for group in cut.batches() for i in group] == list(range(len(cut.starts)))


def test_even_slices_cost_little_more_than_the_recording():
    for frames, most in [(94, 1.4), (188, 1.25), (938, 1.15), (1875, 1.15), (11250, 1.15)]:
        cut = even_slices(frames, 13)
        assert cut.length * len(cut.starts) <= most * frames
    assert all(len(group) <= 2 for group in even_slices(11250, 13).batches(2))


def test_the_largest_shapes_are_sought_once(monkeypatch):
    """They are asked for at every batch."""
    buckets._largest.cache_clear()  # other tests have asked, too
    sought, shapes = [], Buckets.shapes
    monkeypatch.setattr(Buckets, "shapes", lambda self: sought.append(self) or shapes(self))
    first, again = Buckets(8192).largest(), Buckets(8192).largest()
    assert first == again and Shape(1, 8192) in first and len(sought) == 1
    assert {shape.batch * shape.frames for shape in first} == {8192}
    first.clear()  # a list of the caller's own
    assert Buckets(8192).largest() == again
