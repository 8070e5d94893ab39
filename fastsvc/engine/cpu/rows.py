"""Rows of a network's layers: which of them a block computes, and which it takes over from the blocks before.

The network is a chain of layers; a row of a layer's output depends on the rows t − past … t + ahead of its input. Rows
of the first input below ``settled`` are final, so those of layer l are final below settled − (what all layers before it
read ahead). Final rows are computed once. The others are computed again in each block, but no more of them than the
wanted output depends on: of a row that far back the wanted output may depend no longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from fastsvc.config.reach import Reach


def ahead(reaches: list[Reach]) -> list[int]:
    """How many rows beyond a row each layer's input depends on, and the last output: [layers + 1]."""
    return [0, *accumulate(reach.ahead for reach in reaches)]


def starts(reaches: list[Reach], first: int, settled: int) -> list[int]:
    """The first row to compute of each layer's input and of the last output, [layers + 1], where output is wanted from
    row ``first`` on."""
    *before, last = ahead(reaches)
    rows = [max(first, settled - last)]
    for reach, own in zip(reversed(reaches), reversed(before)):
        rows.append(max(rows[-1] - reach.past, settled - own, 0))
    return rows[::-1]


def ends(reaches: list[Reach], last: int, total: int | None) -> list[int]:
    """The row after the last one to compute, likewise, where output is wanted below row ``last``."""
    rows = [last]
    for reach in reversed(reaches):
        rows.append(rows[-1] + reach.ahead)
    return [row if total is None else min(row, total) for row in reversed(rows)]


@dataclass(frozen=True)
class Rows:
    """The rows that a block computes: at place l those of layer l's input, at the last place those of the output."""

    reaches: list[Reach]
    starts: list[int]
    ends: list[int]
    settled: int  # rows of the first input below it are final, from this block on

    @classmethod
    def of(cls, reaches: list[Reach], first: int, last: int, total: int | None, settled: tuple[int, int]) -> Rows:
        """For output rows first … last − 1 of ``total`` rows, if that is known; ``settled``: before the block and from
        it on, (0, 0) where nothing is kept."""
        return cls(reaches, starts(reaches, first, settled[0]), ends(reaches, last, total), settled[1])

    @property
    def begin(self) -> int:
        """The first row that is read."""
        return max(0, min(start - reach.past for start, reach in zip(self.starts[1:], self.reaches)))

    @property
    def end(self) -> int:
        return self.ends[0]

    def computed(self, place: int) -> tuple[int, int]:
        return self.starts[place], self.ends[place]

    def final(self, place: int) -> int:
        """Rows below it are final."""
        return self.settled - ahead(self.reaches)[place]


@dataclass(frozen=True)
class Kept:
    """Final rows ``first`` … of one layer's input, for the next block."""

    first: int
    rows: Tensor

    @classmethod
    def of(cls, window: Tensor, begin: int, settled: int, back: int) -> Kept:
        """The rows below ``settled`` that the layer can still be asked to read, at most the last ``back``; row 0 of
        ``window`` is ``begin``."""
        first = max(begin, settled - back)
        return cls(first, window[first - begin : max(settled - begin, 0)].clone())

    def fill(self, buffer: Tensor, begin: int, first: int, last: int) -> None:
        """Copy the rows first … last − 1 into ``buffer``, whose row 0 is ``begin``; nothing where first ≥ last."""
        if first < last:
            buffer[first - begin : last - begin] = self.rows[first - self.first : last - self.first]

    def joined(self, fresh: Tensor, start: int, first: int) -> Tensor:
        """Rows from ``first`` on: kept ones below ``start``, then the ``fresh`` ones, which begin there."""
        if first >= start:
            return fresh[first - start :]
        return torch.cat((self.rows[first - self.first : start - self.first], fresh))
