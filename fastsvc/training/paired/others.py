"""Crops of people who are no singers of the corpus, said by its singers."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.config import to_dict
from fastsvc.data.corpus import Corpus
from fastsvc.errors import ConfigError


def opened(path: str, corpus: Corpus) -> Corpus:
    """The corpus of other people. Raises ConfigError where it lacks songs, or has other units or another mel."""
    found = Corpus(path)
    if not found.of("train"):
        raise ConfigError(f"task.others: {path} has no item to train on", "prepare it with more recordings")
    if to_dict(found.mel) != to_dict(corpus.mel):
        raise ConfigError(f"task.others: {path} has another mel than the corpus", "prepare it with the corpus's mel")
    if found.peak != corpus.peak or to_dict(found.features) != to_dict(corpus.features):
        raise ConfigError(f"task.others: {path} has another level or other features", "prepare it as the corpus was")
    if (found.encoder or {}).get("hash") != (corpus.encoder or {}).get("hash"):
        raise ConfigError(f"task.others: {path} has units of another encoder", "prepare it with the corpus's encoder")
    return found


def sung(crop: dict, rows: Tensor, medians_hz: Tensor, generator: torch.Generator) -> dict:
    """The crops with singers drawn evenly from ``rows``, and f0 moved to their medians_hz [S] (0: f0 stays).

    Adds ``singer`` [B], and ``other`` [B], true everywhere.
    """
    size = len(crop["f0_hz"])
    singer = rows[torch.randint(len(rows), (size,), generator=generator, device=rows.device)]
    voiced = torch.where(crop["voiced"] * crop["valid"] > 0.5, crop["f0_hz"], torch.nan)
    own_hz, target_hz = voiced.nanmedian(dim=1).values, medians_hz[singer]
    ratio = torch.where((own_hz > 0) & (target_hz > 0), target_hz / own_hz, 1.0)
    everywhere = torch.ones(size, dtype=torch.bool, device=rows.device)
    return crop | {"singer": singer, "other": everywhere, "f0_hz": crop["f0_hz"] * ratio[:, None]}
