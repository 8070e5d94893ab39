"""Names and condition of `Unit2Mel`, which CoMoSVC, Diffusion-SVC, so-vits-svc and DDSP-SVC 3 share."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from fastsvc.checkpoints.files import config_search, npy_file, speaker_table
from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.config import ConditionConfig, DenoiserConfig
from fastsvc.errors import CheckpointError
from fastsvc.reading.wrappers import MARKS

NETWORK = "decoder.denoise_fn."
SPEAKER = "condition.spk_embed."


def has_network(state: dict) -> bool:
    """Whether a state dict has the network that these projects share; others have other layers under the same name."""
    return any(MARKS["unit2mel"].match(str(name)) for name in state)


def model_name(name: str) -> str:
    """A parameter's name in the file → in AcousticModel."""
    return "denoiser." + name.removeprefix(NETWORK) if name.startswith(NETWORK) else "condition." + name


def file_name(name: str) -> str:
    """The inverse of :func:`model_name`."""
    part, _, inner = name.partition(".")
    return NETWORK + inner if part == "denoiser" else inner


def configuration(
    path: Path, options: ReadOptions, state: dict[str, Tensor], **defaults
) -> tuple[YamlFile, tuple[str, ...]]:
    """(the run's YAML, files still missing). To inspect, sizes off the tensors and ``defaults`` of data suffice."""
    if not options.inspect_only or options.config is not None or path.with_name("config.yaml").is_file():
        return YamlFile(path, options), ()
    net = {name.removeprefix(NETWORK): value.shape for name, value in state.items() if name.startswith(NETWORK)}
    units, speakers = state.get("unit_embed.weight"), state.get("spk_embed.weight")
    if units is None or units.dim() != 2 or "input_projection.bias" not in net:
        return YamlFile(path, options), ()  # raises an error that names the file
    layers = {name.split(".")[1] for name in net if name.startswith("residual_layers.")}
    model = {
        "n_layers": len(layers),
        "n_chans": net["input_projection.bias"][0],
        "n_hidden": units.shape[0],
        "n_spk": 1 if speakers is None else speakers.shape[0],
        "use_pitch_aug": "aug_shift_embed.weight" in state,
    }
    data = {"encoder": "unknown", "encoder_out_channels": units.shape[1], **defaults}
    files = config_search.candidates(path, config_search.YAML)
    hint = f" ({', '.join(file.name for file in files[: config_search.MAX_LISTED])} lies there)" if files else ""
    return YamlFile.of({"model": model, "data": data}, path), (
        f"config.yaml of the training run, beside the checkpoint or with --config{hint}",
    )


def layers(yaml: YamlFile, tensors: dict[str, Tensor]) -> int:
    """model.n_layers. Raises CheckpointError if it would cost hours before the first missing key is found."""
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
    """Whether `spk_embed` is a linear map of a speaker embedding, not a table of speakers."""
    linear = SPEAKER + "bias" in tensors or yaml.get("model.use_speaker_encoder", bool, False)
    weight = tensors.get(SPEAKER + "weight")
    return linear and weight is not None and weight.dim() == 2


def with_vectors(
    tensors: dict[str, Tensor], vectors: Path | None, path: Path
) -> tuple[dict[str, Tensor], tuple[str, ...], tuple[str, ...]]:
    """(tensors with a table in place of the linear map, speakers' names, files still missing).

    Row s of the table is W v_s + b, so the network serves these singers like those of any table.
    """
    result = {name: value for name, value in tensors.items() if not name.startswith(SPEAKER)}
    weight, bias = tensors[SPEAKER + "weight"].float(), tensors.get(SPEAKER + "bias")
    if vectors is None:
        missing = f"speaker embeddings [{weight.shape[1]}]: --speaker-vectors FILE.npz, one array a singer"
        return result, ("speaker 0",), (missing,)
    table = npy_file.vectors(vectors, weight.shape[1])
    if not table:
        raise CheckpointError(f"{vectors} holds no speaker embedding", "save one array a singer, named after it")
    offset = 0 if bias is None else bias.float()
    rows = torch.stack([weight @ torch.tensor(vector) + offset for vector in table.values()])
    if len(rows) == 1:
        if "condition.unit_embed.bias" not in result:
            raise CheckpointError(
                f"{path} does not fit its configuration: missing: unit_embed.bias", "download the checkpoint again"
            )
        result["condition.unit_embed.bias"] = result["condition.unit_embed.bias"].float() + rows[0]
    else:
        result[SPEAKER + "weight"] = rows
    return result, tuple(table), ()
