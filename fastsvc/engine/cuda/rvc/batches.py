"""Which recordings of RVC's voices go through encoder and flow together, and in which shapes: arithmetic on lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fastsvc.audio.slicing import blocks
from fastsvc.engine.buckets import Buckets, Shape
from fastsvc.engine.cpu.rvc.encoder import stretches

ROWS = 8192  # frames of a batch: the smallest bucket that holds the longest stretch of the encoder


@dataclass(frozen=True)
class Piece:
    """Frames [first, last) of a recording's latent, which take the flow's input frames [begin, end)."""

    recording: int
    first: int
    last: int
    begin: int
    end: int

    @property
    def rows(self) -> int:
        return self.end - self.begin


def encoder_groups(frames: Sequence[int], buckets: Buckets) -> list[list[int]]:
    """Indices of recordings that share a batch; those that go through in several stretches are alone."""
    whole = [i for i, count in enumerate(frames) if len(stretches(count)) == 1]
    together = [[whole[i] for i in group] for group in buckets.batches([frames[i] for i in whole])]
    return together + [[i] for i, count in enumerate(frames) if len(stretches(count)) > 1]


def flow_pieces(recordings: Iterable[tuple[int, int]], buckets: Buckets, halo: int, block: int | None = None):
    """The pieces of recordings (number, frames), in batches of at most ``buckets.rows`` rows: lists of :class:`Piece`.

    ``block``: frames that a piece computes; None: as many as a batch holds.
    """
    batches: list[list[Piece]] = []
    for recording, frames in recordings:
        for cut in buckets.cut(frames, halo) if block is None else blocks(frames, block, halo):
            piece = Piece(recording, *cut)
            if not batches or rows(batches[-1]) + piece.rows > buckets.rows:
                batches.append([])
            batches[-1].append(piece)
    return batches


def rows(pieces: Sequence[Piece]) -> int:
    return sum(piece.rows for piece in pieces)


def shapes(groups: Iterable[Sequence[int]], buckets: Buckets, halo: int) -> tuple[list[Shape], list[int]]:
    """(the encoder's shapes, the flow's numbers of rows), largest first, for recordings of these numbers of frames.

    The recordings of one group are sampled together.
    """
    encoders, flows = set(), set()
    for frames in groups:
        for group in encoder_groups(frames, buckets):
            counts = [frames[i] for i in group]
            alone = len(group) == 1
            passes = [[end - begin] for _, _, begin, end in stretches(counts[0])] if alone else [counts]
            encoders |= {buckets.shape(lengths) for lengths in passes}
            flows |= {buckets.bucket(rows(pieces)) for pieces in flow_pieces(enumerate(counts), buckets, halo)}
    largest_first = sorted(encoders, key=lambda shape: (-shape.batch * shape.frames, shape.batch))
    return largest_first, sorted(flows, reverse=True)
