"""A recogniser's checkpoint, read as a training needs it: its configuration, and tensors that are known to fit."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from fastsvc.config import RecogniserConfig, from_dict
from fastsvc.model.keys import fit
from fastsvc.model.recogniser import Recogniser
from fastsvc.training import checkpoint


def read(path: str) -> tuple[RecogniserConfig, dict[str, Tensor], dict]:
    """(configuration, averaged weights, the whole content). Raises CheckpointError for another kind of file, and for
    weights that do not fit: before any memory is taken for a network."""
    content = checkpoint.load(path, "recogniser")
    config = from_dict(RecogniserConfig, content["config"]["model"], f"{path}: config.model")
    return config, fit(content["ema"], lambda: Recogniser(config), Path(path)), content
