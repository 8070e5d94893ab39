"""The native checkpoint: a plain dict of plain values and tensors, readable with weights_only=True."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from fastsvc import files
from fastsvc.errors import CheckpointError

FORMAT, VERSION = "fastsvc", 1
NEEDED = ("kind", "step", "config", "speakers", "model", "ema")


def save(path: str | Path, *, kind: str, step: int, config: dict, speakers, speaker_f0_hz, model, ema, **resume):
    """Write a checkpoint, whole or not at all: a crash leaves the old file as it was. Raises OutputError.

    ``model`` and ``ema`` are state dicts; ``resume`` holds what only resuming needs (optimizer, scheduler, rng …).
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "step": step,
        "config": config,
        "speakers": list(speakers),
        "speaker_f0_hz": [float(f) for f in speaker_f0_hz],
        "model": model,
        "ema": ema,
        **resume,
    }
    with files.writing(path, remedy="choose another `out`") as file:
        torch.save(content, file)


def load(path: str | Path, kind: str | tuple[str, ...] | None = None, device="cpu") -> dict:
    """Read a native checkpoint. Raises CheckpointError when missing, damaged, foreign or of another kind.

    ``kind``: the one that is wanted, or several; None: any.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}", "check the path")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read: {str(error).splitlines()[0]}", "the file is damaged") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of fastsvc", "train one with `fastsvc train`")
    if content.get("version") != VERSION:
        raise CheckpointError(f"{path} has format version {content.get('version')}", f"this program reads {VERSION}")
    missing = [key for key in NEEDED if key not in content]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}", "the file is damaged")
    kinds = (kind,) if isinstance(kind, str) else kind
    if kinds and content["kind"] not in kinds:
        wanted = " or ".join(kinds)
        raise CheckpointError(f"{path} holds a {content['kind']}, not a {wanted}", f"give the path of a {wanted}")
    return content
