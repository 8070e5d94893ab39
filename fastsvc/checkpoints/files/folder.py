"""The checkpoint in a folder: one file of weights, as projects publish them, its configuration beside it."""

from __future__ import annotations

from pathlib import Path

from fastsvc.errors import CheckpointError

ENDINGS = (".ckpt", ".pt", ".pth", ".ptc", ".safetensors")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # as accelerate and HuggingFace write them, the safer one first
BARE = "model"  # openvpi's file without an ending


def checkpoint_in(path: Path) -> Path:
    """``path`` itself unless it is a folder; then the one checkpoint in it. Raises CheckpointError: none or several."""
    if not path.is_dir():
        return path
    for name in WEIGHTS:
        if (path / name).is_file():
            return path / name
    if (path / "manifest.json").is_file():
        raise CheckpointError(
            f"{path} is an engine, which is built already", "name the checkpoint that the engine was built from"
        )
    found = sorted(file for file in path.iterdir() if file.is_file() and _looks_like_one(file))
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointError(
            f"{path} is a folder without a checkpoint ({BARE}, *{', *'.join(ENDINGS)})",
            "name the checkpoint file itself",
        )
    names = ", ".join(file.name for file in found[:8]) + (" …" if len(found) > 8 else "")
    raise CheckpointError(f"{path} holds {len(found)} checkpoints: {names}", "name one of these files")


def _looks_like_one(file: Path) -> bool:
    return file.name == BARE or (file.suffix in ENDINGS and not file.name.startswith("."))
