"""Checkpoints of rectified flows as the content of native ones: those of `fastsvc train`, and files of DDSP-SVC 6."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastsvc.checkpoints import read
from fastsvc.checkpoints.readers import native
from fastsvc.config import ddsp, to_dict
from fastsvc.config.hubert import hubert_units
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.reading import loading
from fastsvc.training import checkpoint, rows

DISTILLED = ("student", "dmo")


def is_flow(path: str) -> bool:
    """Whether the file holds a rectified flow; False for what cannot be read, which the reader itself refuses."""
    if not path or not Path(path).is_file():
        return False
    content = loading.load(Path(path))
    if content.get("format") != checkpoint.FORMAT:
        return True  # of another project: those that are no flows get an error that names them
    config = content.get("config")
    model = config.get("model") if isinstance(config, dict) else None
    return isinstance(model, dict) and model.get("kind") == ddsp.KIND


def content_of(path: str, kinds: Sequence[str], singers: Sequence[str]) -> dict:
    """The content of a checkpoint with a flow, as fastsvc.training.checkpoint.load gives it, and speaker_base.

    A file of DDSP-SVC is a teacher: its speakers have numbers, so a folder of that number is the speaker's, and a lone
    singer is the lone speaker. ``singers``: of the corpus. Raises CheckpointError for other files and kinds.
    """
    if loading.load(Path(path)).get("format") == checkpoint.FORMAT:
        content = checkpoint.load(path, tuple(kinds))
        if content["config"]["model"].get("kind") != ddsp.KIND:
            raise CheckpointError(f"{path} is not a rectified flow", "name a checkpoint of the same family")
        return content | {"speaker_base": native.speaker_base_of(content, path)}
    found = read(path)
    if found.kind != ddsp.KIND or "teacher" not in kinds:
        raise CheckpointError(
            f"{path} is of another project than DDSP-SVC 6", f"name a {' or '.join(kinds)} of `fastsvc train`"
        )
    return {
        "kind": "teacher",
        "config": {"model": to_dict(found.config), "train": {}},
        "speakers": _names(found.speakers, found.speaker_base, singers),
        "speaker_base": found.speaker_base,
        "speaker_f0_hz": list(found.speaker_f0_hz),
        "ema": found.tensors,
        "mel_fields": found.mel_fields,
    }


def _names(speakers: Sequence[str], base: int, singers: Sequence[str]) -> list[str]:
    if len(speakers) <= 1 and len(singers) == 1:
        return list(singers)
    by_key, numbered = {rows.key(name): name for name in singers}, dict(enumerate(speakers, base))
    return [by_key.get(str(i), name) if name == f"speaker {i}" else name for i, name in numbered.items()]


def refuse_other_corpus(content: dict, config: ddsp.DdspConfig, path: str, corpus) -> None:
    """Raises ConfigError, one line with every difference, where the corpus's features are not the checkpoint's, and
    CheckpointError for a damaged file."""
    mel, encoder = to_dict(config.mel), corpus.encoder
    compared = [name for name in content.get("mel_fields", mel) if name != "log_base"]  # one is a multiple of the other
    pairs = [(f"mel.{name}", mel[name], getattr(corpus.mel, name)) for name in compared]
    pairs.append(("unit channels", config.unit_channels, encoder["channels"]))
    stored = native.encoder_of(content, path)
    if stored is not None:
        pairs.append(("encoder's hash", stored[:8], encoder["hash"][:8]))
    else:
        pairs.append(("encoder", _units(config.features.encoder), _units(encoder["name"])))
    unlike = [f"{name} {there} there, {here} here" for name, there, here in pairs if there != here]
    if unlike:
        raise ConfigError(
            f"{path} was trained on other features than {corpus.path} has: {'; '.join(unlike)}",
            f"prepare the recordings with --like {path}",
        )


def _units(name: str) -> str:
    """One name for units that projects call differently."""
    parsed = hubert_units(name)
    return name if parsed is None else "vec{}l{}".format(*parsed)
