"""The native checkpoint: a plain dict of plain values and tensors, readable with weights_only=True."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch

from fastsvc.errors import CheckpointError, OutputError

FORMAT, VERSION = "fastsvc", 1
NEEDED = ("kind", "step", "config", "speakers", "model", "ema")
# In what torch raises, a RuntimeError, where its file cannot be written, on a full disk above all
UNWRITTEN = ("unexpected pos", "PytorchStreamWriter", "inline_container")


def save(path: str | Path, *, kind: str, step: int, config: dict, speakers, speaker_f0_hz, model, ema, **resume):
    """Write a checkpoint to a temporary sibling, then rename it: a crash leaves the old file as it was.

    ``model`` and ``ema`` are state dicts; ``resume`` holds what only resuming needs (optimizer, scheduler, rng …).
    """
    path = Path(path)
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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        if not (isinstance(error, OSError) or any(words in str(error) for words in UNWRITTEN)):
            raise
        raise OutputError(f"cannot write {path}: {error}", "free space or choose another `out`") from None
    finally:
        temporary.unlink(missing_ok=True)


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
        raise CheckpointError(
            f"{path} cannot be read: {(str(error).splitlines() or [type(error).__name__])[0]}", "the file is damaged"
        ) from None
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
