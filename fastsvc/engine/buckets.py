"""Shapes that a GPU is prepared for: how recordings are cut into slices, and slices put into batches.

This module is arithmetic on lengths. A CUDA graph has a fixed shape, so a slice runs in the smallest prepared shape
that holds it. The denoiser's kernels know each slice's length. The vocoder's convolutions do not, so its slices are
never padded: all slices of a recording have one prepared length and overlap as much as that takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fastsvc.audio.slicing import blocks

FRAMES = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
SLICE = 2048  # frames of a slice where a recording must be cut
BATCHES = (1, 2, 4, 8)
LEAST_ROWS = 512

EVEN_FRAMES = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
EVEN_BATCHES = (8, 6, 4, 3, 2, 1)


@dataclass(frozen=True)
class Shape:
    """The shape of one graph: ``batch`` slices of at most ``frames``."""

    batch: int
    frames: int


def _size(shape: Shape) -> tuple[int, int]:
    return -shape.batch * shape.frames, shape.batch


@dataclass(frozen=True)
class Buckets:
    """The denoiser's shapes. ``rows`` limits the frames of all slices of a batch together, and so the memory."""

    rows: int = FRAMES[-1]

    def bucket(self, frames: int) -> int:
        """The smallest prepared length that holds ``frames``; beyond the longest one, powers of two."""
        return next((bucket for bucket in FRAMES if bucket >= frames), 1 << (frames - 1).bit_length())

    def cut(self, frames: int, halo: int) -> list[tuple[int, int, int, int]]:
        """(first, last, start, end) as fastsvc.audio.slicing.blocks; a single slice where ``rows`` allows it."""
        if frames <= self.rows:
            return [(0, frames, 0, frames)]
        length = max(min(SLICE, self.rows), self.bucket(4 * halo))
        return blocks(frames, length - 2 * halo, halo)

    def shape(self, lengths: Sequence[int]) -> Shape:
        """The shape for slices of these lengths in one batch."""
        batch = next((batch for batch in BATCHES if batch >= len(lengths)), len(lengths))
        return Shape(batch, self.bucket(max(lengths)))

    def holds(self, shape: Shape) -> bool:
        """Whether ``shape`` is a prepared one: one slice of any length, or several short ones."""
        return shape.batch == 1 or (shape.frames <= SLICE and shape.batch * shape.frames <= self.rows)

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Indices of slices that run together, the longest first.

        Rows without a slice and frames past a slice's end cost as much as others. So a batch is at least three
        quarters full, and its slices are at least half as long as its longest.
        """
        order = sorted(range(len(lengths)), key=lambda i: -self.bucket(lengths[i]))
        groups = []
        while order:
            longest = self.bucket(lengths[order[0]])
            near = sum(2 * self.bucket(lengths[i]) >= longest for i in order)
            size = next(b for b in reversed(BATCHES) if 4 * near >= 3 * b and self.holds(Shape(b, longest)))
            groups.append(order[: min(size, near)])
            order = order[min(size, near) :]
        return groups

    def needed(self, groups: Iterable[Sequence[int]], halo: int) -> list[Shape]:
        """The shapes that sampling takes for recordings of these numbers of frames, largest first.

        The recordings of one group are sampled together.
        """
        shapes = set()
        for recordings in groups:
            lengths = [end - start for frames in recordings for _, _, start, end in self.cut(frames, halo)]
            shapes |= {self.shape([lengths[i] for i in batch]) for batch in self.batches(lengths)}
        return sorted(shapes, key=_size)

    def halved(self) -> Buckets | None:
        """Buckets for half the memory; None below :data:`LEAST_ROWS` rows."""
        return Buckets(self.rows // 2) if self.rows // 2 >= LEAST_ROWS else None

    def shapes(self) -> list[Shape]:
        """All prepared shapes, largest first: one slice of any length, or several of at most :data:`SLICE` frames."""
        shapes = [Shape(batch, frames) for batch in BATCHES for frames in FRAMES if frames <= self.rows]
        return sorted(filter(self.holds, shapes), key=_size)

    def largest(self) -> list[Shape]:
        """The shapes that take the most memory."""
        return list(_largest(self))  # asked for at every batch of every recording


@lru_cache(maxsize=16)
def _largest(buckets: Buckets) -> tuple[Shape, ...]:
    shapes = buckets.shapes()
    return tuple(s for s in shapes if s.batch * s.frames == shapes[0].batch * shapes[0].frames)


@dataclass(frozen=True)
class EvenSlices:
    """Slices of one length: slice i begins at ``starts[i]`` and computes frames ``bounds[i]`` … ``bounds[i + 1]``."""

    length: int
    starts: tuple[int, ...]
    bounds: tuple[int, ...]

    def batches(self, most: int = EVEN_BATCHES[0]) -> list[range]:
        """Indices of slices that run together; every batch has a prepared size."""
        groups, first = [], 0
        while first < len(self.starts):
            size = next(b for b in EVEN_BATCHES if b <= min(most, len(self.starts) - first))
            groups.append(range(first, first + size))
            first += size
        return groups


def even_shapes(halo: int, longest: int = EVEN_FRAMES[-1], most: int = EVEN_BATCHES[0]) -> list[Shape]:
    """All shapes that the vocoder is prepared for, largest first."""
    lengths = _even_lengths(halo, longest, EVEN_FRAMES[-1])
    return sorted((Shape(b, n) for b in EVEN_BATCHES if b <= most for n in lengths), key=_size)


def even_needed(
    frames: Iterable[int], halo: int, longest: int = EVEN_FRAMES[-1], most: int = EVEN_BATCHES[0]
) -> list[Shape]:
    """The vocoder's shapes for recordings of these numbers of frames, largest first; without unprepared lengths."""
    cuts = [even_slices(number, halo, longest) for number in set(frames)]
    shapes = {Shape(len(group), cut.length) for cut in cuts for group in cut.batches(most) if cut.length in EVEN_FRAMES}
    return sorted(shapes, key=_size)


def _even_lengths(halo: int, longest: int, frames: int) -> list[int]:
    return [n for n in EVEN_FRAMES if max(2 * halo + 1, 1) <= n <= min(frames, max(longest, 2 * halo + 1))]


def even_slices(frames: int, halo: int, longest: int = EVEN_FRAMES[-1]) -> EvenSlices:
    """The slices of ``frames`` that compute least; one slice of that length if every prepared length is longer."""
    lengths = _even_lengths(halo, longest, frames)
    if not lengths:
        return EvenSlices(frames, (0,), (0, frames))
    count, length = min(((_count(frames, n, halo), n) for n in lengths), key=lambda pair: (pair[0] * pair[1], pair[0]))
    starts = [i * (frames - length) // (count - 1) for i in range(count)] if count > 1 else [0]
    return EvenSlices(length, tuple(starts), (0, *(start + halo for start in starts[1:]), frames))


def _count(frames: int, length: int, halo: int) -> int:
    return 1 if frames == length else max(2, -(-(frames - 2 * halo) // (length - 2 * halo)))
