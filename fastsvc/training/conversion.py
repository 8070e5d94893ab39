"""Batches in which some items are conversions: another singer, and f0 moved to that singer's range.

The verifier's loss says nearly nothing in reconstruction, and a model trained on reconstruction alone meets conversion
for the first time in use (FasterVoiceGrad, arXiv 2508.17868, distils in conversion for that reason).
"""

from __future__ import annotations

import torch
from torch import Tensor


def targets(task) -> tuple[Tensor, Tensor]:
    """(median f0 of all singers of an acoustic task [S], the rows of those with songs)."""
    rows = [row for row in range(len(task.speakers)) if row not in task.rows_without_songs]
    return torch.tensor(task.speaker_f0_hz, device=task.device), torch.tensor(rows, device=task.device)


def converted(
    batch: dict, share: float, medians_hz: Tensor, generator: torch.Generator, rows: Tensor | None = None
) -> dict:
    """The batch with other singers, drawn evenly, for the first ``share`` of its items; its mel stays the source's.

    f0 moves by the ratio of the singers' medians, medians_hz [S] (0: unknown, and f0 stays). Adds ``other`` [B]: 1
    where the singer was replaced. ``rows``: the rows of the possible singers, rising; None: all.
    """
    singer = batch["singer"]
    rows = torch.arange(len(medians_hz), device=singer.device) if rows is None else rows
    count = len(rows)
    size = round(share * len(singer)) if count > 1 else 0
    other = torch.arange(len(singer), device=singer.device) < size
    # A shift of 1 … S − 1 among the S singers gives any singer but the item's own.
    shift = torch.randint(1, max(count, 2), (len(singer),), generator=generator, device=singer.device)
    target = torch.where(other, rows[(torch.searchsorted(rows, singer) + shift) % count], singer)
    source_hz, target_hz = medians_hz[singer], medians_hz[target]
    has_medians = other & (source_hz > 0) & (target_hz > 0)
    ratio = torch.where(has_medians, target_hz / source_hz.clamp(min=1e-3), 1.0)
    return batch | {"singer": target, "f0_hz": batch["f0_hz"] * ratio[:, None], "other": other}
