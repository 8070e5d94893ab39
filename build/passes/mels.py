"""One mel recipe for the acoustic model and its vocoder."""

from __future__ import annotations

import dataclasses

from fastsvc.checkpoints import Checkpoint
from fastsvc.checkpoints.checkpoint import MEL_FIELDS
from fastsvc.config import AcousticConfig, AnyVocoderConfig
from fastsvc.errors import CheckpointError


def mel_for_both(acoustic: Checkpoint[AcousticConfig], vocoder: Checkpoint[AnyVocoderConfig] | None) -> AcousticConfig:
    """The acoustic configuration, with the vocoder's value wherever the acoustic checkpoint states none.

    Fields that both state must agree; CheckpointError prints both recipes if they do not. The logarithm stays the
    acoustic model's: the engine multiplies its mels when the vocoder's is another.
    """
    config = acoustic.config
    if vocoder is None:
        return config
    ours, theirs = config.mel, vocoder.config.mel
    both = [name for name in MEL_FIELDS if name in acoustic.mel_stated and name in vocoder.mel_stated]
    unlike = [name for name in both if name != "log_base" and getattr(ours, name) != getattr(theirs, name)]
    if unlike:
        pairs = ", ".join(f"{name} {getattr(ours, name)} and {getattr(theirs, name)}" for name in unlike)
        raise CheckpointError(
            f"{acoustic.path} and {vocoder.path} work on different mels: {pairs}"
            f" (acoustic model: {_recipe(acoustic)}; vocoder: {_recipe(vocoder)})",
            "use the vocoder that the acoustic model was trained for",
        )
    stated = {name: getattr(ours, name) for name in (*acoustic.mel_stated, "log_base")}
    return dataclasses.replace(config, mel=dataclasses.replace(theirs, **stated))


def _recipe(checkpoint: Checkpoint) -> str:
    """Every field of a mel recipe; those that the checkpoint does not state are named as such."""
    mel, stated = checkpoint.config.mel, (*checkpoint.mel_stated, "log_base")
    values = [f"{name} {getattr(mel, name)}" for name in MEL_FIELDS if name in stated]
    silent = [name for name in MEL_FIELDS if name not in stated]
    return ", ".join(values) + (f", no {', '.join(silent)}" if silent else "")
