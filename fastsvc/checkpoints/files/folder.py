"""The checkpoint in a folder: one file of weights, with its configuration beside it, as projects publish them."""

from __future__ import annotations

from pathlib import Path

from fastsvc.checkpoints.files import index_beside
from fastsvc.errors import CheckpointError

ENDINGS = (".ckpt", ".pt", ".pth", ".ptc", ".safetensors")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # written by accelerate and HuggingFace; the safer one first
BARE = "model"  # openvpi's file without an ending


def checkpoint_in(path: Path) -> Path:
    """``path``, or if it is a folder the one checkpoint in it. Raises CheckpointError for none or several."""
    if not path.is_dir():
        return path
    for name in WEIGHTS:
        if (path / name).is_file():
            return path / name
    if (path / "manifest.json").is_file():
        raise CheckpointError(
            f"{path} is an engine, which is built already", "name the checkpoint that the engine was built from"
        )
    files = sorted(file for file in path.iterdir() if file.is_file() and _has_checkpoint_name(file))
    if len(files) == 1:
        return files[0]
    indexes = [file.name for file in path.iterdir() if index_beside.is_index(file.name)]
    if not files and indexes:
        raise CheckpointError(
            f"{path} holds an index of RVC ({indexes[0]}), but no voice", "put the voice's .pth there, or name the .pth"
        )
    if not files:
        raise CheckpointError(
            f"{path} is a folder without a checkpoint ({BARE}, *{', *'.join(ENDINGS)})",
            "name the checkpoint file itself",
        )
    names = ", ".join(file.name for file in files[:8]) + (" …" if len(files) > 8 else "")
    raise CheckpointError(f"{path} holds {len(files)} checkpoints: {names}", "name one of these files")


def _has_checkpoint_name(file: Path) -> bool:
    return file.name == BARE or (file.suffix in ENDINGS and not file.name.startswith("."))
