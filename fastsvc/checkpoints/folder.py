"""Checkpoints that are folders: which of their files holds the weights."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # as accelerate and HuggingFace write them, the safer one first


def weights_file(path: Path) -> Path:
    """The file of weights in a folder that has one; anything else as it is."""
    if path.is_dir():
        for name in WEIGHTS:
            if (path / name).is_file():
                return path / name
    return path
