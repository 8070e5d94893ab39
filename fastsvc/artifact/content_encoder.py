"""The content encoder of an engine folder, to tell it from others of its width."""

from __future__ import annotations

from fastsvc.artifact.engine_folder import CONTENT, Artifact
from fastsvc.model.encoder_hash import KnownEncoder


def known(folder: Artifact) -> KnownEncoder | None:
    """The engine's content encoder; None without one. Raises EngineError for a damaged file."""
    content = folder.manifest.content
    if content is None or not folder.has(CONTENT):
        return None
    return KnownEncoder(content.config, folder.tensors(CONTENT), content.source.encoder)


def is_another(folder: Artifact, trained: str | None) -> bool:
    """Whether the engine certainly has another content encoder than the one of the hash ``trained``."""
    if trained is None or folder.manifest.source.encoder == trained:
        return False
    encoder = known(folder)
    return encoder is not None and encoder.gave(trained) is False
