"""Shapes that a GPU is prepared for: how recordings are cut into slices, and slices put into batches.

Everything is arithmetic on lengths. A CUDA graph has a fixed shape, so a slice is run in the smallest prepared one
that holds it. The denoiser's kernels know each slice's length; the vocoder's convolutions do not, so its slices are
never padded: those of one recording all have one prepared length and overlap as much as that takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastsvc.audio.slicing import blocks

FRAMES = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
SLICE = 2048  # frames of a slice where a recording must be cut
BATCHES = (1, 2, 4, 8)
LEAST_ROWS = 512

EVEN = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
EVEN_BATCHES = (8, 6, 4, 3, 2, 1)


@dataclass(frozen=True)
class Shape:
    """What one graph computes: ``batch`` slices of at most ``frames``."""

    batch: int
    frames: int


@dataclass(frozen=True)
class Ladder:
    """The denoiser's shapes; ``rows``: most frames of all slices of a batch together, which bounds the memory."""

    rows: int = FRAMES[-1]

    def rung(self, frames: int) -> int:
        """The prepared length for so many frames; past the ladder powers of two."""
        return next((rung for rung in FRAMES if rung >= frames), 1 << (frames - 1).bit_length())

    def cut(self, frames: int, halo: int) -> list[tuple[int, int, int, int]]:
        """(first, last, start, end) as fastsvc.audio.slicing.blocks: one slice where the rows allow it."""
        if frames <= self.rows:
            return [(0, frames, 0, frames)]
        length = max(min(SLICE, self.rows), self.rung(4 * halo))
        return blocks(frames, length - 2 * halo, halo)

    def shape(self, lengths: Sequence[int]) -> Shape:
        """The shape for slices of such lengths together."""
        batch = next((batch for batch in BATCHES if batch >= len(lengths)), len(lengths))
        return Shape(batch, self.rung(max(lengths)))

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Indices of slices that run together, in order."""
        groups: list[list[int]] = []
        longest = 0
        for index, length in enumerate(lengths):
            longest = max(longest, self.rung(length))
            group = groups[-1] if groups else None
            if group is not None and len(group) < BATCHES[-1] and (len(group) + 1) * longest <= self.rows:
                group.append(index)
            else:
                groups.append([index])
                longest = self.rung(length)
        return groups

    def halved(self) -> Ladder | None:
        """With half the memory; None where that would leave nothing."""
        return Ladder(self.rows // 2) if self.rows // 2 >= LEAST_ROWS else None

    def shapes(self) -> list[Shape]:
        """All of them, largest first: one slice of any length, or several of at most :data:`SLICE` frames."""
        several = [Shape(b, f) for b in BATCHES[1:] for f in FRAMES if f <= SLICE and b * f <= self.rows]
        alone = [Shape(1, frames) for frames in FRAMES if frames <= self.rows]
        return sorted(alone + several, key=lambda s: (-s.batch * s.frames, s.batch))

    def largest(self) -> list[Shape]:
        """Those that take the most memory."""
        shapes = self.shapes()
        return [s for s in shapes if s.batch * s.frames == shapes[0].batch * shapes[0].frames]


@dataclass(frozen=True)
class Even:
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


def even(frames: int, halo: int, longest: int = EVEN[-1]) -> Even:
    """The slices of ``frames`` that compute least; a single one of exactly that length if it is shorter than all."""
    lengths = [n for n in EVEN if max(2 * halo + 1, 1) <= n <= min(frames, max(longest, 2 * halo + 1))]
    if not lengths:
        return Even(frames, (0,), (0, frames))
    count, length = min(((_count(frames, n, halo), n) for n in lengths), key=lambda pair: (pair[0] * pair[1], pair[0]))
    starts = [i * (frames - length) // (count - 1) for i in range(count)] if count > 1 else [0]
    return Even(length, tuple(starts), (0, *(start + halo for start in starts[1:]), frames))


def _count(frames: int, length: int, halo: int) -> int:
    return 1 if frames == length else max(2, -(-(frames - 2 * halo) // (length - 2 * halo)))
