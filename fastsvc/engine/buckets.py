"""Shapes that a GPU is prepared for: how recordings are cut into slices, and slices put into batches.

Everything is arithmetic on lengths. A CUDA graph has a fixed shape, so a slice is run in the smallest prepared one
that holds it. The denoiser's kernels know each slice's length; the vocoder's convolutions do not, so its slices are
never padded: those of one recording all have one prepared length and overlap as much as that takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fastsvc.audio.slicing import blocks

FRAMES = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
SLICE = 2048  # frames of a slice where a recording must be cut
BATCHES = (1, 2, 4, 8)
LEAST_ROWS = 512

EVEN_FRAMES = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
EVEN_BATCHES = (8, 6, 4, 3, 2, 1)


@dataclass(frozen=True)
class Shape:
    """What one graph computes: ``batch`` slices of at most ``frames``."""

    batch: int
    frames: int


def _size(shape: Shape) -> tuple[int, int]:
    return -shape.batch * shape.frames, shape.batch


@dataclass(frozen=True)
class Buckets:
    """The denoiser's shapes; ``rows``: most frames of all slices of a batch together, which bounds the memory."""

    rows: int = FRAMES[-1]

    def bucket(self, frames: int) -> int:
        """The prepared length for so many frames; past the ladder powers of two."""
        return next((bucket for bucket in FRAMES if bucket >= frames), 1 << (frames - 1).bit_length())

    def cut(self, frames: int, halo: int) -> list[tuple[int, int, int, int]]:
        """(first, last, start, end) as fastsvc.audio.slicing.blocks: one slice where the rows allow it."""
        if frames <= self.rows:
            return [(0, frames, 0, frames)]
        length = max(min(SLICE, self.rows), self.bucket(4 * halo))
        return blocks(frames, length - 2 * halo, halo)

    def shape(self, lengths: Sequence[int]) -> Shape:
        """The shape for slices of such lengths together."""
        batch = next((batch for batch in BATCHES if batch >= len(lengths)), len(lengths))
        return Shape(batch, self.bucket(max(lengths)))

    def holds(self, shape: Shape) -> bool:
        """Whether it is one of those that are prepared: one slice of any length, or several short ones."""
        return shape.batch == 1 or (shape.frames <= SLICE and shape.batch * shape.frames <= self.rows)

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Indices of slices that run together, the longest first.

        Rows without a slice and frames past a slice's end cost as much as others, so a batch is at least three
        quarters full, and of slices at least half as long as its longest.
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
        """The shapes in which recordings of so many frames are sampled, those of one group together; largest first."""
        found = set()
        for frames in groups:
            lengths = [end - start for one in frames for _, _, start, end in self.cut(one, halo)]
            found |= {self.shape([lengths[i] for i in group]) for group in self.batches(lengths)}
        return sorted(found, key=_size)

    def halved(self) -> Buckets | None:
        """With half the memory; None where that would leave nothing."""
        return Buckets(self.rows // 2) if self.rows // 2 >= LEAST_ROWS else None

    def shapes(self) -> list[Shape]:
        """All of them, largest first: one slice of any length, or several of at most :data:`SLICE` frames."""
        every = [Shape(batch, frames) for batch in BATCHES for frames in FRAMES if frames <= self.rows]
        return sorted(filter(self.holds, every), key=_size)

    def largest(self) -> list[Shape]:
        """Those that take the most memory."""
        shapes = self.shapes()
        return [s for s in shapes if s.batch * s.frames == shapes[0].batch * shapes[0].frames]


@dataclass(frozen=True)
class EvenSlices:
    """Slices of one length: slice i begins at ``starts[i]`` and gives frames ``bounds[i]`` … ``bounds[i + 1]``."""

    length: int
    starts: tuple[int, ...]
    bounds: tuple[int, ...]

    def batches(self, most: int = EVEN_BATCHES[0]) -> list[range]:
        """Indices of slices that run together; every batch has a prepared size."""
        groups, done = [], 0
        while done < len(self.starts):
            size = next(b for b in EVEN_BATCHES if b <= min(most, len(self.starts) - done))
            groups.append(range(done, done + size))
            done += size
        return groups


def even_shapes(halo: int, longest: int = EVEN_FRAMES[-1], most: int = EVEN_BATCHES[0]) -> list[Shape]:
    """All that the vocoder is prepared for, largest first."""
    lengths = _even_lengths(halo, longest, EVEN_FRAMES[-1])
    return sorted((Shape(b, n) for b in EVEN_BATCHES if b <= most for n in lengths), key=_size)


def even_needed(
    frames: Iterable[int], halo: int, longest: int = EVEN_FRAMES[-1], most: int = EVEN_BATCHES[0]
) -> list[Shape]:
    """Those that recordings of so many frames take, largest first; lengths that are not prepared for are left out."""
    cuts = [even_slices(one, halo, longest) for one in set(frames)]
    found = {Shape(len(group), cut.length) for cut in cuts for group in cut.batches(most) if cut.length in EVEN_FRAMES}
    return sorted(found, key=_size)


def _even_lengths(halo: int, longest: int, frames: int) -> list[int]:
    return [n for n in EVEN_FRAMES if max(2 * halo + 1, 1) <= n <= min(frames, max(longest, 2 * halo + 1))]


def even_slices(frames: int, halo: int, longest: int = EVEN_FRAMES[-1]) -> EvenSlices:
    """The slices of ``frames`` that compute least; a single one of exactly that length if it is shorter than all."""
    lengths = _even_lengths(halo, longest, frames)
    if not lengths:
        return EvenSlices(frames, (0,), (0, frames))
    count, length = min(((_count(frames, n, halo), n) for n in lengths), key=lambda pair: (pair[0] * pair[1], pair[0]))
    starts = [i * (frames - length) // (count - 1) for i in range(count)] if count > 1 else [0]
    return EvenSlices(length, tuple(starts), (0, *(start + halo for start in starts[1:]), frames))


def _count(frames: int, length: int, halo: int) -> int:
    return 1 if frames == length else max(2, -(-(frames - 2 * halo) // (length - 2 * halo)))
