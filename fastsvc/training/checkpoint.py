"""The native checkpoint: a plain dict of plain values and tensors, readable with weights_only=True."""

from __future__ import annotations

from pathlib import Path

import torch

from fastsvc import files
from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError
from fastsvc.reading import loading

FORMAT, VERSION = "fastsvc", 1
NEEDED = ("kind", "step", "config", "speakers", "model", "ema")


def save(path: str | Path, *, kind: str, step: int, config: dict, speakers, speaker_f0_hz, model, ema, **resume):
    """Write a checkpoint, whole or not at all: a crash leaves the old file as it was. Raises OutputError.

    ``model`` and ``ema`` are state dicts; ``resume`` holds the parts that only resuming needs (optimizer, rng …).
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


def load(path: str | Path, kind: str | tuple[str, ...] | None = None) -> dict:
    """Read a native checkpoint onto the CPU, by the loader of every checkpoint (fastsvc/reading/loading.py).

    ``kind``: the expected kind or kinds; None: any. Raises CheckpointError when the file is missing, damaged, foreign
    or of another kind, or when its weights are not plain tensors of finite numbers.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint", "check the path")
    content = loading.load(path, mapped=False)  # last.pt is replaced while its tensors are in use
    if content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of fastsvc", "train one with `fastsvc train`")
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has format version {shown(content.get('version'))}", f"this program reads {VERSION}"
        )
    missing = [key for key in NEEDED if key not in content]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}", "copy or train the checkpoint again")
    kinds = (kind,) if isinstance(kind, str) else kind
    if kinds and content["kind"] not in kinds:
        expected = " or ".join(kinds)
        stored_kind = shown(content["kind"]).strip("'")
        raise CheckpointError(f"{path} holds a {stored_kind}, not a {expected}", f"name the path of a {expected}")
    _check(content, path)
    return content


def _check(content: dict, path: Path) -> None:
    """Check the parts that every reader relies on."""
    step, config = content["step"], content["config"]
    speakers, f0_hz = content["speakers"], content.get("speaker_f0_hz", [])
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 2**63:
        raise CheckpointError(f"{path}: step is {shown(step)}", "copy or train the checkpoint again")
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise CheckpointError(f"{path} lacks config.model", "copy or train the checkpoint again")
    if not isinstance(speakers, (list, tuple)) or not all(isinstance(name, str) for name in speakers):
        raise CheckpointError(f"{path}: speakers is {shown(speakers)}", "copy or train the checkpoint again")
    if not isinstance(f0_hz, (list, tuple)) or not all(isinstance(f, (int, float)) and 0 <= f < 1e5 for f in f0_hz):
        raise CheckpointError(f"{path}: speaker_f0_hz is {shown(f0_hz)}", "copy or train the checkpoint again")
    for key in ("model", "ema"):
        if content[key]:
            loading.finite(loading.state_dict(content, key, path), path)
