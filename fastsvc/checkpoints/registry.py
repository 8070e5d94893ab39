"""Which reader reads a checkpoint: the first that recognises the keys found in the file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from fastsvc import arguments
from fastsvc.checkpoints import foreign
from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.files import speaker_table
from fastsvc.checkpoints.files.folder import checkpoint_in
from fastsvc.checkpoints.files.unwrap import unwrap
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers import (
    amphion,
    amphion_vocoder,
    comosvc,
    diffusion_svc,
    fairseq,
    huggingface,
    m4gan,
    native,
    nsf_hifigan,
)
from fastsvc.errors import CheckpointError
from fastsvc.reading.loading import load

ACOUSTIC, VOCODERS = (native, comosvc, diffusion_svc, amphion), (m4gan, nsf_hifigan, amphion_vocoder)
READERS = (*ACOUSTIC, *VOCODERS, fairseq, huggingface)


def read(path, config=None, era=None, speaker_vectors=None, inspect_only=False) -> Checkpoint:
    """Read a checkpoint of any known format, recognised by its keys; a folder stands for the one checkpoint in it.

    ``config`` is a YAML or JSON file for formats that keep their configuration outside; without it `config.yaml`
    (`config.json`, `args.json`) beside the checkpoint is taken. ``era``, ``speaker_vectors`` and ``inspect_only``: see
    :class:`fastsvc.checkpoints.read_options.ReadOptions`.
    Raises CheckpointError naming every missing or unexpected key and every wrong shape.
    """
    path = checkpoint_in(arguments.path("path", path))
    options = ReadOptions.of(config=config, era=era, speaker_vectors=speaker_vectors, inspect_only=inspect_only)
    found = unwrap(load(path), path, options)
    content, options = found.content, found.options
    for reader in READERS:
        if reader.recognises(content):
            checkpoint = reader.read(content, path, options)
            speaker_table.check(checkpoint.speakers, path, checkpoint.speaker_base)
            _refuse_vain(options, getattr(reader, "TAKES", ()), path)
            notes = (*checkpoint.notes, *found.notes, *options.notes)
            return dataclasses.replace(checkpoint, weights=found.weights, notes=notes)
    raise foreign.refusal(content, path)


def _refuse_vain(options: ReadOptions, taken: tuple[str, ...], path: Path) -> None:
    """An option that the file's format does not know is a mistake about the file."""
    for name in ("era", "speaker_vectors"):
        if getattr(options, name) not in (None, "auto") and name not in taken:
            raise CheckpointError(
                f"{path}: --{name.replace('_', '-')} does not apply to it", f"omit --{name.replace('_', '-')}"
            )
