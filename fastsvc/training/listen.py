"""Samples of an acoustic training as sound, through a vocoder that is not trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc.config import MelConfig, VocoderConfig, to_dict, vocoder_config
from fastsvc.errors import ConfigError
from fastsvc.model import vocoders
from fastsvc.model.keys import fit
from fastsvc.model.modules import module
from fastsvc.training import checkpoint
from fastsvc.training.task import Sample

COUNT = 2  # samples of each name


def vocoder_of(path: str, mel: MelConfig, device: torch.device) -> nn.Module | None:
    """The averaged vocoder of a checkpoint, frozen; None without a path. Raises CheckpointError, and ConfigError where
    it takes another mel than the corpus has."""
    if not path:
        return None
    content = checkpoint.load(path, "vocoder")
    config = vocoder_config(content["config"]["model"], f"{path}: config.model")
    if to_dict(config.mel) != to_dict(mel):
        raise ConfigError(f"{path} takes another mel than the corpus has", "name another task.vocoder, or none")
    model = module("vocoder", config)
    model.load_state_dict(fit(content["ema"] or content["model"], lambda: module("vocoder", config), Path(path)))
    return model.requires_grad_(False).eval().to(device)


@torch.no_grad()
def sounds(vocoder: nn.Module, mel: Tensor, crops: dict[str, Tensor], seed: int) -> np.ndarray:
    """mel [B, T, M] with the f0 of the first B crops → audio float32 [B, T · hop]; always from the same noise."""
    config, audio = vocoder.config, []
    f0_hz = (crops["f0_hz"] * crops["voiced"])[: len(mel)].float()
    for row, pitch in zip(mel.float()[:, None], f0_hz[:, None], strict=True):
        excitation = vocoders.seeded(pitch, config, seed)
        if isinstance(config, VocoderConfig):  # mixed to one channel by a layer of the generator
            excitation = vocoder.source(excitation)
        audio.append(vocoders.specified(vocoder, row, excitation, vocoders.seeded_extra(pitch, config, seed)))
    return torch.cat(audio).cpu().numpy()


def samples(
    vocoder: nn.Module | None, mels: dict[str, Tensor], crops: dict[str, dict], rate_hz: int, seed: int
) -> dict[str, Sample]:
    """The first COUNT mels [B, T, M] of each name as pictures and, with a vocoder, as sound at the f0 of its crops."""
    found = {}
    for name, mel in mels.items():
        audio = None if vocoder is None else sounds(vocoder, mel[:COUNT], crops[name], seed)
        for i, picture in enumerate(mel[:COUNT]):
            found[f"{name}/{i}"] = Sample(None if audio is None else audio[i], rate_hz, picture.cpu().numpy())
    return found


def in_the_next_voice(crops: dict, singer_ids: Sequence[int | None], f0_hz: Sequence[float]) -> dict | None:
    """The crops with the next singer who has songs, and f0 moved by the ratio of the medians; None for one singer.

    ``singer_ids``, ``f0_hz``: by row; None: no songs.
    """
    present = [row for row, singer in enumerate(singer_ids) if singer is not None and f0_hz[row] > 0]
    if len(present) < 2:
        return None
    rows = crops["singer"].tolist()
    following = [present[(present.index(row) + 1) % len(present)] if row in present else present[0] for row in rows]
    ratios = [f0_hz[new] / f0_hz[old] if f0_hz[old] > 0 else 1.0 for old, new in zip(rows, following)]
    singer = torch.tensor(following, device=crops["singer"].device)
    return crops | {"singer": singer, "f0_hz": crops["f0_hz"] * crops["f0_hz"].new_tensor(ratios)[:, None]}
