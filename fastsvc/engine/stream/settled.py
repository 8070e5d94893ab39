"""What a stream's blocks have settled: frames that later blocks use as they were computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastsvc.engine.stream.tape import Tape
from fastsvc.features.f0 import hold


@dataclass(frozen=True)
class Span:
    """Frames of a block, first … last − 1; its features reach to ``end``. ``total``: of the recording, if known."""

    first: int
    last: int
    end: int
    total: int | None

    def within(self, frame: int) -> int:
        return frame if self.total is None else min(frame, self.total)


@dataclass(frozen=True)
class Block:
    """``rows``: of the block's frames and of provisional ones after them; audio [(last − first) · hop]."""

    span: Span
    rows: dict[str, Tensor]
    last_hz: float  # the last pitch up to the block's end
    next_phase: float  # of the source, where the block ends
    audio: Tensor


class Settled:
    """Rows by frame and name, kept for ``back`` frames; the state that is carried from block to block."""

    def __init__(self, back: int):
        self.back = back
        self.tapes: dict[str, Tape] = {}
        self.last_hz, self.phase = hold.START_HZ, 0.0

    def settled(self, name: str, begin: int, end: int) -> Tensor | None:
        """Rows begin … end − 1 of earlier blocks; None before the first block."""
        return self.tapes[name].rows(begin, end) if name in self.tapes else None

    def window(self, block_rows: dict[str, Tensor], name: str, span: Span, begin: int, end: int) -> Tensor:
        """Rows begin … end − 1: settled ones, then the block's own. Missing ones are the last row, repeated."""
        before, rows = self.settled(name, begin, span.first), block_rows[name][: end - span.first]
        rows = rows if before is None else torch.cat((before, rows))
        missing = end - begin - len(rows)
        return rows if missing <= 0 else torch.cat((rows, rows[-1:].expand(missing, *rows.shape[1:])))

    def settle(self, block: Block) -> None:
        span = block.span
        for name, rows in block.rows.items():
            if name not in self.tapes:
                self.tapes[name] = Tape(*rows.shape[1:], dtype=rows.dtype)
            self.tapes[name].append(rows[: span.last - span.first])
            self.tapes[name].forget(span.last - self.back)
        self.last_hz, self.phase = block.last_hz, block.next_phase
