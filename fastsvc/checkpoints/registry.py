"""Reading a checkpoint with the first reader that recognises the keys in the file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from fastsvc import arguments
from fastsvc.checkpoints import foreign
from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.files import speaker_table, voice_zip
from fastsvc.checkpoints.files.folder import checkpoint_in
from fastsvc.checkpoints.files.unwrap import unwrap
from fastsvc.checkpoints.files.voice_zip import PackedVoice
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers import (
    amphion,
    amphion_vocoder,
    comosvc,
    ddsp_svc,
    diffusion_svc,
    fairseq,
    huggingface,
    m4gan,
    native,
    nsf_hifigan,
    rvc,
)
from fastsvc.errors import CheckpointError
from fastsvc.reading.loading import load

ACOUSTIC = (native, rvc, comosvc, diffusion_svc, ddsp_svc, amphion)
VOCODERS = (m4gan, nsf_hifigan, amphion_vocoder)
READERS = (*ACOUSTIC, *VOCODERS, fairseq, huggingface)


def read(path, config=None, era=None, speaker_vectors=None, inspect_only=False) -> Checkpoint:
    """Read a checkpoint of any known format, recognised by its keys; a folder stands for the one checkpoint in it, a
    zip for the one voice of RVC in it.

    ``config``: a YAML or JSON file, for formats with a separate configuration; by default `config.yaml` (`config.json`,
    `args.json`) beside the checkpoint. ``era``, ``speaker_vectors`` and ``inspect_only``: see
    :class:`fastsvc.checkpoints.read_options.ReadOptions`.
    Raises CheckpointError naming every missing or unexpected key and every wrong shape.
    """
    path = checkpoint_in(arguments.path("path", path))
    options = ReadOptions.of(config=config, era=era, speaker_vectors=speaker_vectors, inspect_only=inspect_only)
    packed = voice_zip.unpack(path)
    return _read(load(path), path, options, READERS) if packed is None else _read_packed(packed, path, options)


def _read_packed(packed: PackedVoice, path: Path, options: ReadOptions) -> Checkpoint:
    """The voice out of the zip at ``path``, which stands for it everywhere: the unpacked file is deleted."""
    try:
        checkpoint = _read(load(packed.voice, mapped=False), packed.voice, options, (rvc,))
    except BaseException as error:
        packed.folder.remove()
        if isinstance(error, CheckpointError):
            raise packed.renamed(error, path) from None
        raise
    packed.voice.unlink()
    vocoder = checkpoint.vocoder and dataclasses.replace(checkpoint.vocoder, path=path)
    notes = (*checkpoint.notes, *packed.notes)
    return dataclasses.replace(checkpoint, path=path, vocoder=vocoder, index=packed.index, notes=notes)


def _read(content: dict, path: Path, options: ReadOptions, readers: tuple) -> Checkpoint:
    unwrapped = unwrap(content, path, options)
    content, options = unwrapped.content, unwrapped.options
    for reader in readers:
        if reader.recognises(content):
            checkpoint = reader.read(content, path, options)
            speaker_table.check(checkpoint.speakers, path, checkpoint.speaker_base)
            _refuse_unused(options, getattr(reader, "USED_OPTIONS", ()), path)
            notes = (*checkpoint.notes, *unwrapped.notes, *options.notes)
            return dataclasses.replace(checkpoint, weights=unwrapped.weights, notes=notes)
    if readers is not READERS and any(reader.recognises(content) for reader in READERS):
        raise CheckpointError(
            f"{path} is in a zip of a folder, and not a voice of RVC", "unpack it, then name the file"
        )
    raise foreign.refusal(content, path)


def _refuse_unused(options: ReadOptions, accepted: tuple[str, ...], path: Path) -> None:
    """Raises CheckpointError for an option that the file's format does not use: a mistake about the file."""
    for name in ("era", "speaker_vectors"):
        if getattr(options, name) not in (None, "auto") and name not in accepted:
            raise CheckpointError(
                f"{path}: --{name.replace('_', '-')} does not apply to it", f"omit --{name.replace('_', '-')}"
            )
