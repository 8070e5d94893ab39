"""A training that starts from trained weights: a teacher's, a student's, or an engine's network (fastsvc/recipe)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fastsvc.checkpoints.readers import native
from fastsvc.config import AcousticConfig, ddsp, from_dict, to_dict
from fastsvc.errors import ConfigError
from fastsvc.model.acoustic import AcousticModel
from fastsvc.model.keys import fit
from fastsvc.training import rows

KINDS = ("teacher", "student", "dmo")
TABLE, PULSES = "condition.spk_embed.weight", "condition.pulse_embed.weight"


def diffusion_of(content: dict, path: str) -> AcousticConfig:
    """The configuration of a native checkpoint. Raises ConfigError for that of a rectified flow."""
    plain = content["config"]["model"]
    if plain.get("kind") == ddsp.KIND:
        raise ConfigError(f"{path} is a rectified flow, and a diffusion model is needed", "name another checkpoint")
    return from_dict(AcousticConfig, plain, f"{path}: config.model")


def other_units(content: dict, config: AcousticConfig, path: str, corpus) -> bool:
    """Whether a checkpoint was certainly trained on units of another encoder than the corpus's. Raises
    CheckpointError."""
    trained, encoder = native.encoder_of(content, path), corpus.encoder
    return trained not in (None, encoder["hash"]) or config.features.unit_channels != encoder["channels"]


def config_of(base: dict, path: str, task: Any, pulses: bool = False, new_encoder: bool = False) -> AcousticConfig:
    """The network's configuration of the checkpoint ``base``, for the singers and the corpus of ``task``.

    ``pulses``: with that condition, also where ``base`` lacks it; ``new_encoder``: from another encoder's units, too.

    Raises ConfigError where mel, units or encoder are not the corpus's.
    """
    config, corpus = diffusion_of(base, path), task.corpus
    if not config.is_native_edm:
        raise ConfigError(f"{path} is not an EDM model, so no training can start from it", "name another task.init")
    if to_dict(config.mel) != to_dict(corpus.mel):
        raise ConfigError(f"{path} was trained on another mel than the corpus has", "prepare the corpus with its mel")
    widths = config.features.unit_channels, corpus.encoder["channels"]
    if new_encoder and widths[0] != widths[1]:
        raise ConfigError(
            f"{path} knows units of {widths[0]} channels, and the corpus has {widths[1]}: no new_encoder helps there",
            "train an encoder of the same bottleneck, or the student from nothing",
        )
    if other_units(base, config, path, corpus) and not new_encoder:
        raise ConfigError(
            f"{path} was trained on units of another encoder than the corpus has", "prepare the corpus with its encoder"
        )
    pulses = pulses or config.condition.pulses
    if pulses and not config.condition.pulses:
        task.notes.append(f"{path} has no weights for pulses: they start from zeros")
    condition = replace(config.condition, speakers=len(task.speakers), pulses=pulses)
    features = replace(config.features, unit_align=corpus.features.unit_align)  # as the crops have it
    return replace(config, features=features, condition=condition, edm=replace(config.edm, few_steps=()))


@torch.no_grad()
def load_into(model: AcousticModel, base: dict, path: str, speakers: Sequence[str]) -> None:
    """Copy the averaged weights of ``base``; rows follow names, and new singers start from the mean of all rows.

    Raises CheckpointError where the weights do not fit.
    """
    config = from_dict(AcousticConfig, base["config"]["model"], f"{path}: config.model")
    state = fit(base["ema"] or base["model"], lambda: AcousticModel(config), Path(path))
    if TABLE in model.state_dict():
        mean = state[TABLE].mean(0) if TABLE in state else torch.zeros(config.condition.channels)
        model.get_parameter(TABLE).copy_(mean.expand(len(speakers), -1))
        state = rows.moved_state(state, model, {TABLE: 1}, rows.Move(base["speakers"], speakers))
    elif TABLE in state:  # one singer alone, whom the base has as well
        state["condition.unit_embed.bias"] = state["condition.unit_embed.bias"] + state.pop(TABLE)[0]
    if PULSES in model.state_dict() and PULSES not in state:
        state[PULSES] = torch.zeros_like(model.get_parameter(PULSES))
    model.load_state_dict(state)
