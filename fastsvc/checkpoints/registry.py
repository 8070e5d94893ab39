"""Reading a checkpoint with the first reader that recognises the keys in the file."""

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

    ``config``: a YAML or JSON file, for formats with a separate configuration; by default `config.yaml` (`config.json`,
    `args.json`) beside the checkpoint. ``era``, ``speaker_vectors`` and ``inspect_only``: see
    :class:`fastsvc.checkpoints.read_options.ReadOptions`.
    Raises CheckpointError naming every missing or unexpected key and every wrong shape.
    """
    path = checkpoint_in(arguments.path("path", path))
    options = ReadOptions.of(config=config, era=era, speaker_vectors=speaker_vectors, inspect_only=inspect_only)
    unwrapped = unwrap(load(path), path, options)
    content, options = unwrapped.content, unwrapped.options
    for reader in READERS:
        if reader.recognises(content):
            checkpoint = reader.read(content, path, options)
            speaker_table.check(checkpoint.speakers, path, checkpoint.speaker_base)
            _refuse_unused(options, getattr(reader, "USED_OPTIONS", ()), path)
            notes = (*checkpoint.notes, *unwrapped.notes, *options.notes)
            return dataclasses.replace(checkpoint, weights=unwrapped.weights, notes=notes)
    raise foreign.refusal(content, path)


def _refuse_unused(options: ReadOptions, accepted: tuple[str, ...], path: Path) -> None:
    """Raises CheckpointError for an option that the file's format does not use: a mistake about the file."""
    for name in ("era", "speaker_vectors"):
        if getattr(options, name) not in (None, "auto") and name not in accepted:
            raise CheckpointError(
                f"{path}: --{name.replace('_', '-')} does not apply to it", f"omit --{name.replace('_', '-')}"
            )
