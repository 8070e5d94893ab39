"""How far each convolution of a chain reads into past and future, where a network's whole future is limited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


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


def is_short(*configs: Any) -> bool:
    """Whether an acoustic model or a recogniser of these configurations (None: there is none) has a limited future.

    Kernels of GPUs read as far into the future as into the past.
    """
    networks = (getattr(config, "denoiser", config) for config in configs)
    limits = [getattr(network, "future_frames", None) for network in networks]
    limits += [getattr(getattr(config, "features", None), "f0_future_frames", None) for config in configs]
    return any(limit is not None for limit in limits)
