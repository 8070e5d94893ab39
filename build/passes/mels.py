"""One mel recipe for the acoustic model and its vocoder."""

from __future__ import annotations

import dataclasses

from fastsvc.checkpoints import Checkpoint
from fastsvc.checkpoints.checkpoint import MEL_FIELDS
from fastsvc.config import AnyAcousticConfig, AnyVocoderConfig
from fastsvc.errors import CheckpointError


def mel_for_both(
    acoustic: Checkpoint[AnyAcousticConfig], vocoder: Checkpoint[AnyVocoderConfig] | None
) -> AnyAcousticConfig:
    """The acoustic configuration, with the vocoder's value for each mel field that the acoustic checkpoint omits.

    Fields that both checkpoints hold must agree; CheckpointError prints both recipes if they do not. The base of the
    logarithm stays the acoustic model's: the engine multiplies the mels where the vocoder has another base.
    """
    config = acoustic.config
    if vocoder is None:
        return config
    mel, vocoder_mel = config.mel, vocoder.config.mel
    both = [name for name in MEL_FIELDS if name in acoustic.mel_fields and name in vocoder.mel_fields]
    unlike = [name for name in both if name != "log_base" and getattr(mel, name) != getattr(vocoder_mel, name)]
    if unlike:
        pairs = ", ".join(f"{name} {getattr(mel, name)} and {getattr(vocoder_mel, name)}" for name in unlike)
        raise CheckpointError(
            f"{acoustic.path} and {vocoder.path} work on different mels: {pairs}"
            f" (acoustic model: {_recipe(acoustic)}; vocoder: {_recipe(vocoder)})",
            "use the vocoder that the acoustic model was trained for",
        )
    own_fields = {name: getattr(mel, name) for name in (*acoustic.mel_fields, "log_base")}
    return dataclasses.replace(config, mel=dataclasses.replace(vocoder_mel, **own_fields))


def _recipe(checkpoint: Checkpoint) -> str:
    """Every field of a mel recipe; the fields that the checkpoint omits are listed as such."""
    mel, present = checkpoint.config.mel, (*checkpoint.mel_fields, "log_base")
    values = [f"{name} {getattr(mel, name)}" for name in MEL_FIELDS if name in present]
    omitted = [name for name in MEL_FIELDS if name not in present]
    return ", ".join(values) + (f", no {', '.join(omitted)}" if omitted else "")
