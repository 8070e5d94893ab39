"""How far each convolution of a chain reads into past and future, where a network's whole future is limited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Reach(NamedTuple):
    """Rows before and after its own that a row of a layer's output depends on."""

    past: int
    ahead: int


def reaches(halves: Sequence[int], future: int | None) -> list[Reach]:
    """``halves``: of each layer, half of the rows between its first and its last tap → what it reads to each side.

    Without ``future`` that is half to each side. Otherwise all layers together read ``future`` rows ahead: the first
    ones take what they would have without the limit, as far as it goes. Later layers are moved into the past, and keep
    their taps' number and distance.
    """
    left, found = sum(halves) if future is None else future, []
    for half in halves:
        ahead = min(half, left)
        left -= ahead
        found.append(Reach(2 * half - ahead, ahead))
    return found
