"""A vocoder or content encoder for a new engine: from its checkpoint, or out of an engine that has it already."""

from __future__ import annotations

from pathlib import Path

from fastsvc.checkpoints import Checkpoint, read
from fastsvc.config import RecogniserConfig, VocoderConfig, from_dict
from fastsvc.engine import artifact
from fastsvc.errors import EngineError

PARTS = {
    "vocoder": (artifact.VOCODER, "vocoder", VocoderConfig),
    "recogniser": (artifact.CONTENT, "content", RecogniserConfig),
}


def read_part(path, kind: str, purpose: str) -> Checkpoint:
    """``kind`` is vocoder or recogniser; path is a checkpoint, a vocoder's folder or an engine folder (.fsvc).

    Raises CheckpointError or EngineError: not readable, of another kind, or an engine without that part.
    """
    if not artifact.is_engine(Path(path)):
        return read(path).require((kind,), purpose)
    name, key, config = PARTS[kind]
    folder = artifact.Artifact(path)
    entry = folder.manifest.get(key)
    if not entry or not folder.has(name):
        raise EngineError(f"{path} has no {key}", "give another engine, or a checkpoint")
    origin = entry.get("source", {})
    return Checkpoint(
        folder.path / name,
        origin.get("format", "engine"),
        kind,
        from_dict(config, entry["config"], key),
        {tensor: value.float() for tensor, value in folder.tensors(name).items()},
        step=int(origin.get("step", 0)),
        notes=(f"taken from the engine {Path(path).name}",),
    )
