"""Checkpoints of `fastsvc train` (docs/architecture.md, "Native checkpoint")."""

from __future__ import annotations

from pathlib import Path

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers.generators import generator
from fastsvc.config import (
    AcousticConfig,
    DdspConfig,
    PitchConfig,
    RecogniserConfig,
    SourceFilterConfig,
    VerifierConfig,
    ddsp,
    from_dict,
    vocoder_config,
)
from fastsvc.config.limits import F0_HZ
from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.keys import fit
from fastsvc.model.modules import module
from fastsvc.reading import wrappers
from fastsvc.reading.loading import count, state_dict

VERSION = 1
HASH_CHARACTERS = 1000  # at most, as in an engine's manifest


def acoustic_of(data: object, where: str) -> AcousticConfig | DdspConfig:
    """The configuration of a teacher, student or dmo: a diffusion model's, or by its kind that of a rectified flow."""
    flow = isinstance(data, dict) and data.get("kind") == ddsp.KIND
    return from_dict(DdspConfig, data, where) if flow else from_dict(AcousticConfig, data, where)


CONFIGS = {
    "teacher": acoustic_of,
    "student": acoustic_of,
    "dmo": acoustic_of,
    "vocoder": vocoder_config,
    "recogniser": RecogniserConfig,
    "singer": VerifierConfig,
    "pitch": PitchConfig,
}


def recognises(content: dict) -> bool:
    return content.get("format") == "fastsvc"


def read(content: dict, path: Path, options: ReadOptions) -> Checkpoint:
    """The tensors are the averaged weights (`ema`) if there are any, otherwise the last ones (`model`)."""
    if options.config is not None:
        raise CheckpointError(f"{path} carries its own configuration", "omit --config")
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has format version {shown(content.get('version'))}, this program reads {VERSION}", "update fastsvc"
        )
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in CONFIGS:
        raise CheckpointError(f"{path} is of the unknown kind {shown(kind)}", f"known are {', '.join(CONFIGS)}")
    plain = content.get("config")
    if not isinstance(plain, dict) or "model" not in plain:
        raise CheckpointError(f"{path} lacks config.model", "copy or train the checkpoint again")
    try:
        known, told, where = CONFIGS[kind], plain["model"], "config.model"
        model_config = from_dict(known, told, where) if isinstance(known, type) else known(told, where)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error.message}", error.remedy) from None
    speakers, speaker_f0_hz, input_peak, speaker_base = _metadata(content, plain, model_config, path)
    averaged = bool(content.get("ema"))
    tensors = _bare_names(state_dict(content, "ema" if averaged else "model", path), path)
    _refuse_absurd(model_config, len(tensors), path)
    return Checkpoint(
        path=path,
        format="fastsvc",
        kind=kind,
        config=model_config,
        tensors=(
            generator(tensors, model_config, path)[0]
            if kind == "vocoder"
            else fit(tensors, lambda: module(kind, model_config), path)
        ),
        speakers=speakers,
        speaker_base=speaker_base,
        speaker_f0_hz=speaker_f0_hz,
        step=count(content, "step"),
        input_peak=input_peak,
        encoder=encoder_of(content, path) if kind in ("teacher", "student", "dmo") else None,
        notes=("averaged weights (ema)" if averaged else "last weights (model)",),
    )


def _metadata(content: dict, plain: dict, config, path: Path) -> tuple[tuple, tuple, float | None, int]:
    """(names of the speakers, their median pitches in Hz, peak of the training data), each empty if missing; and the
    first speaker's id, 1 in students of voices that count so."""
    names, f0_hz = content.get("speakers") or (), content.get("speaker_f0_hz") or ()
    peak, acoustic = _train(content).get("input_peak"), isinstance(config, (AcousticConfig, DdspConfig))
    count = config.speakers if acoustic else None
    numbers = isinstance(f0_hz, (list, tuple)) and all(
        isinstance(f, (int, float)) and (f == 0 or F0_HZ[0] <= f <= F0_HZ[1]) for f in f0_hz
    )
    texts = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    if not texts or (names and count not in (None, len(names))) or not numbers:
        raise CheckpointError(
            f"{path}: its table of speakers does not fit its network", "copy or train the checkpoint again"
        )
    if not (peak is None or (isinstance(peak, (int, float)) and 0 < peak <= 1)):
        raise CheckpointError(f"{path}: config.train.input_peak is {shown(peak)}", "copy or train the checkpoint again")
    return tuple(map(str, names)), tuple(map(float, f0_hz)), peak, speaker_base_of(content, path)


def speaker_base_of(content: dict, path: str | Path) -> int:
    """The first speaker's id, 0 unless the file names another. Raises CheckpointError."""
    base = _train(content).get("speaker_base", 0)
    if type(base) is not int or base not in (0, 1):  # whether a tensor is one of them has no answer
        raise CheckpointError(
            f"{path}: config.train.speaker_base is {shown(base)}", "copy or train the checkpoint again"
        )
    return base


def encoder_of(content: dict, path: str | Path) -> str | None:
    """The hash of the content encoder that gave the units of the training, if the file names it. Raises
    CheckpointError."""
    encoder = _train(content).get("encoder")
    if encoder is not None and not (isinstance(encoder, str) and len(encoder) <= HASH_CHARACTERS):
        raise CheckpointError(f"{path}: config.train.encoder is {shown(encoder)}", "copy or train the checkpoint again")
    return encoder


def _train(content: dict) -> dict:
    """The settings of the training."""
    config = content.get("config")
    train = config.get("train") if isinstance(config, dict) else None
    return train if isinstance(train, dict) else {}


def _bare_names(state: dict, path: Path) -> dict:
    """Names without the prefixes of DistributedDataParallel, torch.compile and trainers."""
    try:
        state = wrappers.unwrap(state)
    except wrappers.DuplicateName as error:
        raise CheckpointError(f"{path}: {error}", "save its state dict alone") from None
    while all(name.startswith("model.") for name in state):
        state = {name.removeprefix("model."): value for name, value in state.items()}
    return state


def _refuse_absurd(config, tensors: int, path: Path) -> None:
    """Raises CheckpointError: more layers than tensors would cost hours before the first missing key is found."""
    part = getattr(config, "denoiser", config)
    layers = part.blocks if isinstance(part, SourceFilterConfig) else getattr(part, "layers", 0)
    layers += getattr(part, "hidden_layers", 0)
    if layers > tensors:
        raise CheckpointError(
            f"{path}: config has {layers} layers, the file {tensors} tensors", "copy or train the checkpoint again"
        )
