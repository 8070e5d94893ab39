"""Batches in which some items sing with another singer's voice, in a key that suits it.

Singer verification says nearly nothing in reconstruction, and a model that only ever reconstructs meets conversion
for the first time when it is used (FasterVoiceGrad, arXiv 2508.17868, distils in conversion for that reason).
"""

from __future__ import annotations

import torch
from torch import Tensor


def converted(
    batch: dict, share: float, medians_hz: Tensor, generator: torch.Generator, rows: Tensor | None = None
) -> dict:
    """The batch with the first ``share`` of its items given to other singers, drawn evenly; its mel stays the source's.

    f0 moves by the ratio of the singers' medians, medians_hz [S] (0: unknown, then it stays). Adds ``other`` [B]: 1
    where the singer is another. ``rows``: the singers that take part, upwards; None: all.
    """
    singer = batch["singer"]
    rows = torch.arange(len(medians_hz), device=singer.device) if rows is None else rows
    count = len(rows)
    size = round(share * len(singer)) if count > 1 else 0
    other = torch.arange(len(singer), device=singer.device) < size
    # 1 … S − 1 places further among them is anyone but oneself.
    places = torch.randint(1, max(count, 2), (len(singer),), generator=generator, device=singer.device)
    target = torch.where(other, rows[(torch.searchsorted(rows, singer) + places) % count], singer)
    before, after = medians_hz[singer], medians_hz[target]
    known = other & (before > 0) & (after > 0)
    ratio = torch.where(known, after / before.clamp(min=1e-3), 1.0)
    return batch | {"singer": target, "f0_hz": batch["f0_hz"] * ratio[:, None], "other": other}
