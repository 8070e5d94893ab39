"""Samples of an acoustic training as sound, through a vocoder that is not trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastsvc.config import MelConfig, VocoderConfig, from_dict, to_dict
from fastsvc.errors import ConfigError
from fastsvc.model import source
from fastsvc.model.keys import fit
from fastsvc.model.vocoder import Generator
from fastsvc.training import checkpoint


def vocoder_of(path: str, mel: MelConfig, device: torch.device) -> Generator | None:
    """The averaged vocoder of a checkpoint, frozen; None without a path. Raises CheckpointError, and ConfigError where
    it takes another mel than the corpus has."""
    if not path:
        return None
    content = checkpoint.load(path, "vocoder")
    config = from_dict(VocoderConfig, content["config"]["model"], f"{path}: config.model")
    if to_dict(config.mel) != to_dict(mel):
        raise ConfigError(f"{path} takes another mel than the corpus has", "name another task.vocoder, or none")
    model = Generator(config)
    model.load_state_dict(fit(content["ema"] or content["model"], lambda: Generator(config), Path(path)))
    return model.requires_grad_(False).eval().to(device)


@torch.no_grad()
def sounds(vocoder: Generator, mel: Tensor, crops: dict[str, Tensor], seed: int) -> np.ndarray:
    """mel [B, T, M] with the f0 of the first B crops → audio float32 [B, T · hop]; always from the same noise."""
    config, (size, frames, _) = vocoder.config, mel.shape
    f0_hz = (crops["f0_hz"] * crops["voiced"])[:size].float()
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(size, 1, config.source_channels, generator=generator).to(mel.device)
    shape = (size, frames * config.mel.hop_samples, config.source_channels)
    draws = torch.randn(shape, generator=generator).to(mel.device)
    harmonics = source.harmonics(f0_hz, source.frame_phase(f0_hz, config), start, draws, config)
    return vocoder(mel.float(), vocoder.source(harmonics)).cpu().numpy()
