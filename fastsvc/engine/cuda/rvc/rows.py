"""Convolutions over the rows of several sequences at once: one matrix product over gathered neighbours.

Sequences lie in one matrix of rows, one after another or with unused rows between them. Beyond a sequence's ends are
zeros, whatever the matrix holds there: those neighbours are replaced by the row itself and multiplied by 0. So a row
that is not finite, as unused ones may be, touches no other row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Neighbours(NamedTuple):
    """The rows t − δ, …, t + δ of each row t, and which of them belong to its own sequence."""

    index: Tensor  # [R·taps] int64
    inside: Tensor  # [R, taps, 1] bool

    @classmethod
    def of(cls, low: Tensor, high: Tensor, taps: int) -> Neighbours:
        """low, high [R] int64: each row's sequence is the rows [low, high); both 0 for rows that are not used."""
        own = torch.arange(len(low), device=low.device)[:, None]
        places = own + torch.arange(taps, device=low.device) - taps // 2
        inside = (places >= low[:, None]) & (places < high[:, None])
        return cls(torch.where(inside, places, own).flatten(), inside[..., None])

    def of_rows(self, x: Tensor) -> Tensor:
        """[R, C] → [R, taps·C]."""
        rows = x.index_select(0, self.index).view(*self.inside.shape[:2], x.shape[1])
        return rows.mul_(self.inside).flatten(1)


def bounds(lengths: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """lengths [B] of sequences that begin at every ``frames``-th row → low, high [B·frames] for Neighbours."""
    low = torch.arange(len(lengths), device=lengths.device)[:, None] * frames
    return low.expand(-1, frames).flatten(), (low + lengths[:, None]).expand(-1, frames).flatten()
