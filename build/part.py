"""A vocoder or content encoder for a new engine: from its checkpoint, or out of an engine that has it already."""

from __future__ import annotations

from pathlib import Path

from fastsvc.artifact import folder as artifact
from fastsvc.checkpoints import Checkpoint, read
from fastsvc.config import CONTENT_CONFIGS, VocoderConfig, from_dict
from fastsvc.errors import EngineError
from fastsvc.model.keys import fit
from fastsvc.model.modules import module

# By part: its file, and the configuration of each kind that it may be of. Old engines name no kind: the first.
PARTS = {
    "vocoder": (artifact.VOCODER, {"vocoder": VocoderConfig}),
    "content": (artifact.CONTENT, CONTENT_CONFIGS),
}
NAMES = {"vocoder": "vocoder", "content": "content encoder"}


def read_part(path, part: str, purpose: str) -> Checkpoint:
    """``part`` is vocoder or content; path is a checkpoint, the folder of one, or an engine folder (.fsvc).

    Raises CheckpointError or EngineError: not readable, of another kind, or an engine without that part.
    """
    name, configs = PARTS[part]
    if not artifact.is_engine(Path(path)):
        return read(path).require(configs, purpose)
    folder = artifact.Artifact(path)
    entry = folder.manifest.get(part)
    if not entry or not folder.has(name):
        raise EngineError(f"{path} has no {NAMES[part]}", "name another engine, or a checkpoint")
    kind = entry.get("kind", next(iter(configs)))
    if kind not in configs:
        raise EngineError(f"{path} has a {NAMES[part]} of the unknown kind {kind!r}", "update fastsvc")
    origin = entry.get("source", {})
    config = from_dict(configs[kind], entry["config"], part)
    return Checkpoint(
        folder.path / name,
        origin.get("format", "engine"),
        kind,
        config,
        fit(folder.tensors(name), lambda: module(kind, config), folder.path / name),
        step=int(origin.get("step", 0)),
        notes=(f"taken from the engine {Path(path).name}",),
    )
