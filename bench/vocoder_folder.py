"""The folder of an engine that is nothing but a vocoder, for benches and tests of what reads its graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastsvc.artifact import engine_folder
from fastsvc.config import VocoderConfig, to_dict

if TYPE_CHECKING:
    from torch import Tensor


def write(
    path: Path, config: VocoderConfig, tensors: dict[str, Tensor], with_graphs: bool = True
) -> engine_folder.Artifact:
    """``tensors`` as they are to be stored."""
    from fastsvc.build.passes.export import graphs

    files: dict = {engine_folder.VOCODER: tensors}
    if with_graphs:
        files |= graphs(config, tensors)
    source = {"file": "", "format": "", "kind": "", "step": 0}
    acoustic = {"mel": to_dict(config.mel), "denoiser": {"mel_bins": config.mel.bins}}
    entries = {"acoustic": acoustic, "speakers": ["a"], "schedules": {"1": [80.0]}, "levels": [80.0]}
    manifest = {**entries, "sampler": "consistency", "source": source}
    return engine_folder.Artifact(engine_folder.write(path, manifest, files, force=True))
