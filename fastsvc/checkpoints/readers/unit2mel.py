"""What CoMoSVC, Diffusion-SVC, so-vits-svc and DDSP-SVC 3 share: the names and the condition of `Unit2Mel`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from fastsvc.checkpoints.files import config_search, npy_file, speaker_table
from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.config import ConditionConfig, DenoiserConfig
from fastsvc.errors import CheckpointError
from fastsvc.reading.dress import MARKS

NETWORK = "decoder.denoise_fn."
SPEAKER = "condition.spk_embed."


def is_one(state: dict) -> bool:
    """Whether a state dict is of the network that all of them share: others have other layers under the same name."""
    return any(MARKS["unit2mel"].match(str(name)) for name in state)


def ours(name: str) -> str:
    """A parameter's name in the file → in AcousticModel."""
    return "denoiser." + name.removeprefix(NETWORK) if name.startswith(NETWORK) else "condition." + name


def theirs(name: str) -> str:
    """The inverse of :func:`ours`."""
    part, _, rest = name.partition(".")
    return NETWORK + rest if part == "denoiser" else rest


def settings(path: Path, options: ReadOptions, state: dict[str, Tensor], **guessed) -> tuple[YamlFile, tuple[str, ...]]:
    """(the run's YAML, what is missing). To be looked at alone, sizes off the tensors and ``guessed`` data will do."""
    if not options.inspect_only or options.config is not None or path.with_name("config.yaml").is_file():
        return YamlFile(path, options), ()
    net = {name.removeprefix(NETWORK): value.shape for name, value in state.items() if name.startswith(NETWORK)}
    units, speakers = state.get("unit_embed.weight"), state.get("spk_embed.weight")
    if units is None or units.dim() != 2 or "input_projection.bias" not in net:
        return YamlFile(path, options), ()  # an error that names the file
    layers = {name.split(".")[1] for name in net if name.startswith("residual_layers.")}
    model = {
        "n_layers": len(layers),
        "n_chans": net["input_projection.bias"][0],
        "n_hidden": units.shape[0],
        "n_spk": 1 if speakers is None else speakers.shape[0],
        "use_pitch_aug": "aug_shift_embed.weight" in state,
    }
    data = {"encoder": "unknown", "encoder_out_channels": units.shape[1], **guessed}
    found = config_search.candidates(path, config_search.YAML)
    lies = f" ({', '.join(file.name for file in found[: config_search.MAX_LISTED])} lies there)" if found else ""
    return YamlFile.of({"model": model, "data": data}, path), (
        f"config.yaml of the training run, beside the checkpoint or with --config{lies}",
    )


def layers(yaml: YamlFile, tensors: dict[str, Tensor]) -> int:
    """model.n_layers, refused where it would cost hours before the first missing key."""
    count = yaml.get("model.n_layers", int)
    if count > len(tensors):
        raise CheckpointError(
            f"{yaml.path}: model.n_layers is {count}, the checkpoint has {len(tensors)} tensors",
            "use the config.yaml of this checkpoint",
        )
    return count


def condition(yaml: YamlFile, key_shift: bool) -> ConditionConfig:
    return ConditionConfig(
        unit_channels=yaml.get("data.encoder_out_channels", int),
        channels=yaml.get("model.n_hidden", int),
        speakers=max(yaml.get("model.n_spk", int, 1), 1),
        key_shift=key_shift,
    )


def denoiser(yaml: YamlFile, count: int, bins: int) -> DenoiserConfig:
    return DenoiserConfig(
        mel_bins=bins,
        channels=yaml.get("model.n_chans", int),
        layers=count,
        cond_channels=yaml.get("model.n_hidden", int),
    )


def speaker_names(yaml: YamlFile, count: int, base: int = 0) -> tuple[str, ...]:
    """The `spk` table: names by id, counted from ``base``; ids without a name get "speaker ID"."""
    return speaker_table.names_by_id(yaml.get("spk", dict, {}), count, base, f"{yaml.path}: spk.")


def takes_vectors(tensors: dict[str, Tensor], yaml: YamlFile) -> bool:
    """Whether `spk_embed` is a linear map of a speaker embedding and no table of speakers."""
    linear = SPEAKER + "bias" in tensors or yaml.get("model.use_speaker_encoder", bool, False)
    weight = tensors.get(SPEAKER + "weight")
    return linear and weight is not None and weight.dim() == 2


def with_vectors(
    tensors: dict[str, Tensor], vectors: Path | None, path: Path
) -> tuple[dict[str, Tensor], tuple[str, ...], tuple[str, ...]]:
    """(tensors with a table in place of the linear map, speakers' names, what is missing).

    Row s of the table is W v_s + b: the network then serves these singers as it would any table's.
    """
    rest = {name: value for name, value in tensors.items() if not name.startswith(SPEAKER)}
    weight, bias = tensors[SPEAKER + "weight"].float(), tensors.get(SPEAKER + "bias")
    if vectors is None:
        wanted = f"speaker embeddings [{weight.shape[1]}]: --speaker-vectors FILE.npz, one array a singer"
        return rest, ("speaker 0",), (wanted,)
    table = npy_file.vectors(vectors, weight.shape[1])
    if not table:
        raise CheckpointError(f"{vectors} holds no speaker embedding", "save one array a singer, named after it")
    offset = 0 if bias is None else bias.float()
    rows = torch.stack([weight @ torch.tensor(vector) + offset for vector in table.values()])
    if len(rows) == 1:
        if "condition.unit_embed.bias" not in rest:
            raise CheckpointError(
                f"{path} does not fit its configuration: missing: unit_embed.bias", "download the checkpoint again"
            )
        rest["condition.unit_embed.bias"] = rest["condition.unit_embed.bias"].float() + rows[0]
    else:
        rest[SPEAKER + "weight"] = rows
    return rest, tuple(table), ()
