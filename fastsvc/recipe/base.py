"""The engine that training starts from, as checkpoints: its network, its vocoder and its content encoder.

A student's network is unfolded (fastsvc/recipe/unfold.py) into one that can be trained. The vocoder is the engine's.
"""

from __future__ import annotations

from pathlib import Path

from fastsvc.artifact import engine_folder
from fastsvc.build.part import read_part
from fastsvc.config import to_dict
from fastsvc.data.units import describe
from fastsvc.errors import EngineError
from fastsvc.recipe.measure import listens
from fastsvc.recipe.unfold import unfold
from fastsvc.training import checkpoint

NETWORK, VOCODER, CONTENT = "base.pt", "vocoder.pt", "content.pt"


def check(path: Path) -> engine_folder.Artifact:
    """The engine. Raises EngineError where it lacks a part that the new voice takes from it."""
    engine = engine_folder.Artifact(path)
    files = {"vocoder": engine_folder.VOCODER, "content": engine_folder.CONTENT}
    lacking = [
        name
        for name, file in files.items()
        if getattr(engine.manifest, name) is None or not (engine.path / file).is_file()
    ]
    if lacking:
        raise EngineError(f"{path} has no {' and no '.join(lacking)}", "name another engine with --base")
    if not engine.manifest.acoustic.is_native_edm:
        raise EngineError(f"{path} holds a model that cannot be trained further", "name another engine with --base")
    return engine


def write(path: Path, folder: Path, encoder) -> None:
    """Write the checkpoints into ``folder``; ``encoder``: the engine's content encoder.

    One that takes no part in trainings is not written."""
    engine = check(path)
    manifest, tensors = engine.manifest, engine.tensors(engine_folder.WEIGHTS)
    state = unfold(tensors, manifest.acoustic, manifest.sampling.levels)
    train = {"encoder": describe(encoder)["hash"], "input_peak": manifest.input_peak}
    common = {"step": manifest.source.step, "model": state, "ema": state}
    checkpoint.save(
        folder / NETWORK,
        kind="student",
        config={"model": to_dict(manifest.acoustic), "train": train},
        speakers=manifest.speakers,
        speaker_f0_hz=manifest.speaker_f0_hz,
        **common,
    )
    vocoder = read_part(path, "vocoder", "a vocoder")
    tensors = {name: value.float() for name, value in vocoder.tensors.items()}
    config = {"model": to_dict(vocoder.config), "train": {}}
    common = {"step": vocoder.step, "model": tensors, "ema": tensors}
    checkpoint.save(folder / VOCODER, kind="vocoder", config=config, speakers=[], speaker_f0_hz=[], **common)
    (folder / CONTENT).unlink(missing_ok=True)  # of another base, of a run that was begun anew
    if listens(encoder.config):
        tensors = encoder.model.state_dict()
        config = {"model": to_dict(encoder.config), "train": {}}
        common = {"step": 0, "model": tensors, "ema": tensors}
        checkpoint.save(folder / CONTENT, kind="recogniser", config=config, speakers=[], speaker_f0_hz=[], **common)
