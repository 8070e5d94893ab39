"""The content encoder and the vocoder of an uploaded voice, where its file has none: uploaded with it, or shared.

A voice of RVC needs HuBERT or ContentVec, which people have once for all their voices: an engine that is offered
already and takes the same units has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastsvc.artifact.engine_folder import Artifact
from fastsvc.config import hubert_units
from fastsvc.errors import CheckpointError, FastsvcError

if TYPE_CHECKING:
    from fastsvc.checkpoints import Checkpoint


@dataclass(frozen=True)
class Networks:
    """Paths of checkpoints or engines, None where the voice's own is taken, and notes for the user."""

    content: Path | None
    vocoder: Path | None
    notes: tuple[str, ...] = ()


def choose(voice: Checkpoint, content: Path | None, vocoder: Path | None, engines: list[Path]) -> Networks:
    """``content`` and ``vocoder``: uploaded with the voice. Raises CheckpointError where one is missing everywhere."""
    notes = []
    if content is None:
        content, note = _content(voice, engines)
        notes.append(note)
    if vocoder is None and voice.vocoder is None:
        vocoder, note = _vocoder(voice, engines)
        notes.append(note)
    return Networks(content, vocoder, tuple(notes))


def _content(voice: Checkpoint, engines: list[Path]) -> tuple[Path, str]:
    wanted = voice.config.features
    for path, manifest in _manifests(engines):
        features = manifest.acoustic.features
        same = (features.encoder, features.unit_channels) == (wanted.encoder, wanted.unit_channels)
        if manifest.content is not None and same and _may_give(path, voice.encoder):
            return path, f"its content encoder is that of the engine {path.stem}: {manifest.content.source.file}"
    name = "HuBERT or ContentVec" if hubert_units(wanted.encoder) is not None else "the recogniser of its corpus"
    raise CheckpointError(
        f"the voice takes units of {wanted.encoder}, and its file has no content encoder",
        f"send {name} with it, such as hubert_base.pt (the form's part content)",
    )


def _may_give(path: Path, trained: str | None) -> bool:
    """Whether an engine's content encoder may be the one of that hash; one that cannot be read is not."""
    from fastsvc.artifact.content_encoder import is_another  # needs PyTorch, which the server itself does not load

    try:
        return not is_another(Artifact(path), trained)
    except FastsvcError:
        return False


def _vocoder(voice: Checkpoint, engines: list[Path]) -> tuple[Path, str]:
    for path, manifest in _manifests(engines):
        if manifest.vocoder is not None and manifest.acoustic.mel == voice.config.mel:
            return path, f"its vocoder is that of the engine {path.stem}: {manifest.vocoder.source.file}"
    raise CheckpointError("the voice's file has no vocoder, and no engine here has a fitting one", "send one with it")


def _manifests(engines: list[Path]):
    for path in engines:
        try:
            yield path, Artifact(path).manifest
        except FastsvcError:
            continue
