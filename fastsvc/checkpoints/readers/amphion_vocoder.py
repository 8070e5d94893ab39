"""Amphion's vocoders (BigVGAN and others: `args.json` with `N.pt`), which are recognised and refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.errors import CheckpointError


def recognises(content: dict) -> bool:
    return isinstance(content.get("generator_state_dict"), dict)


def read(content: dict, path: Path, options: ReadOptions) -> NoReturn:
    state = content["generator_state_dict"]
    bigvgan = any(".activations." in str(name) for name in state)
    raise CheckpointError(
        f"{path} is a vocoder of Amphion{' (BigVGAN)' if bigvgan else ''}, which is not supported",
        "use an NSF-HiFi-GAN (openvpi, M4Singer) or a vocoder of `fastsvc train` of the same mel",
    )
