"""A vocoder or content encoder for a new engine, from its checkpoint or from an engine that has it."""

from __future__ import annotations

from pathlib import Path

from fastsvc.artifact import engine_folder
from fastsvc.checkpoints import Checkpoint, read
from fastsvc.config import CONTENT_CONFIGS
from fastsvc.errors import EngineError
from fastsvc.model.keys import fit
from fastsvc.model.modules import module

# Part → (its file in an engine folder, the kinds of checkpoint that hold it).
PARTS = {"vocoder": (engine_folder.VOCODER, ("vocoder",)), "content": (engine_folder.CONTENT, tuple(CONTENT_CONFIGS))}
NAMES = {"vocoder": "vocoder", "content": "content encoder"}


def read_part(path, part: str, purpose: str) -> Checkpoint:
    """``part`` is vocoder or content; path is a checkpoint, the folder of one, or an engine folder (.fsvc).

    Raises CheckpointError or EngineError if it is not readable, of another kind, or an engine without that part.
    """
    name, kinds = PARTS[part]
    if not engine_folder.is_engine(Path(path)):
        return read(path).require(kinds, purpose)
    folder = engine_folder.Artifact(path)
    entry = folder.manifest.vocoder if part == "vocoder" else folder.manifest.content
    if not entry or not folder.has(name):
        raise EngineError(f"{path} has no {NAMES[part]}", "name another engine, or a checkpoint")
    kind, config = getattr(entry, "kind", part), entry.config
    return Checkpoint(
        folder.path / name,
        entry.source.format,
        kind,
        config,
        fit(folder.tensors(name), lambda: module(kind, config), folder.path / name),
        step=entry.source.step,
        encoder=entry.source.encoder,
        notes=(f"taken from the engine {Path(path).name}",),
    )
