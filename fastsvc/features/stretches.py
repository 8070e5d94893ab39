"""Long recordings through networks that attend to everything: stretches with context, each faded into the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor


def faded(
    cuts: Iterable[tuple[int, int, int, int]], fade: int, part: Callable[[int, int], Tensor]
) -> Iterator[tuple[int, int, Tensor]]:
    """(first, last, rows [last − first, C]) of every cut (first, last, begin, end), whose rows come from a pass over
    [begin, end): ``part(begin, end)`` [end − begin, C], a tensor that may be written.

    The first ``fade`` rows are blended with those of the pass before, as far as that pass reaches.
    """
    overlap = None  # the last pass's rows past its stretch's end
    for first, last, begin, end in cuts:
        rows = part(begin, end)[first - begin :]
        if overlap is not None:
            count = min(len(overlap), last - first)
            share = torch.arange(1, count + 1, device=rows.device)[:, None] / (count + 1)
            rows[:count].lerp_(overlap[:count], 1 - share)
        overlap = rows[last - first :][:fade].clone()
        yield first, last, rows[: last - first]
