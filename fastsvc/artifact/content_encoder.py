"""The content encoder of an engine folder, to tell it from others of its width."""

from __future__ import annotations

from fastsvc.artifact.engine_folder import CONTENT, Artifact
from fastsvc.model.encoder_hash import KnownEncoder
from fastsvc.model.keys import fit
from fastsvc.model.modules import module


def known(folder: Artifact) -> KnownEncoder | None:
    """The engine's content encoder; None without one. Raises EngineError for a damaged file, CheckpointError for
    tensors that are not its network's."""
    content = folder.manifest.content
    if content is None or not folder.has(CONTENT):
        return None
    tensors = fit(folder.tensors(CONTENT), lambda: module(content.kind, content.config), folder.path / CONTENT)
    return KnownEncoder(content.config, tensors, content.source.encoder)


def is_another(folder: Artifact, trained: str | None) -> bool:
    """Whether the engine certainly has another content encoder than the one of the hash ``trained``."""
    if trained is None or folder.manifest.source.encoder == trained:
        return False
    encoder = known(folder)
    return encoder is not None and encoder.gave(trained) is False
