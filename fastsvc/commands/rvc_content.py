"""The content encoder of RVC's voices, which no voice's file contains: what it is, and where people have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsvc.config import RvcConfig
from fastsvc.errors import CheckpointError

if TYPE_CHECKING:
    from fastsvc.checkpoints import Checkpoint

ENCODERS = {
    "vec768l12": "ContentVec or HuBERT-base, layer 12",
    "vec256l9": "ContentVec or HuBERT-base with its final_proj, layer 9",
}
FILES = (
    "hubert_base.pt, which RVC keeps in assets/hubert, or ContentVec's checkpoint_best_legacy_500.pt; for a voice that"
    " was trained with another HuBERT, that one"
)


def encoder(config: RvcConfig) -> str:
    name = config.features.encoder
    return f"{name} ({config.unit_channels} channels: {ENCODERS.get(name, 'another HuBERT')})"


def require_content(voice: Checkpoint) -> None:
    """Raise CheckpointError if ``voice`` is one of RVC, which cannot convert recordings without an encoder."""
    if voice.kind == "rvc":
        raise CheckpointError(
            f"{voice.path} is a voice of RVC {voice.config.version}, whose content encoder is a file of its own:"
            f" {encoder(voice.config)}",
            f"name it with --content: {FILES}",
        )
