"""Voices of DDSP-SVC 6.0 and 6.1 (yxlllc/DDSP-SVC): `model_<step>.pt` with `config.yaml` beside it.

Both versions save one state dict of two networks, `ddsp_model` and `reflow_model`, and the synthesiser's sizes. The
velocity network's last norm tells them apart. Tensors that upstream saves and never uses are dropped by name.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.files import config_search
from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers import unit2mel
from fastsvc.checkpoints.readers.diffusion_svc import F0_METHODS
from fastsvc.checkpoints.readers.generators import folded
from fastsvc.config import DdspConfig, FeatureConfig, MelConfig
from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.keys import fit
from fastsvc.reading.loading import count, state_dict

CONTROL, VELOCITY = "ddsp_model.unit2ctrl.", "reflow_model.velocity_fn."
MARKS = {  # a key that every voice of the version has, and no other version
    "6.0": f"{VELOCITY}residual_layers.0.conformer.net.2.weight",
    "6.1": f"{VELOCITY}residual_layers.0.convmodule.net.2.weight",
}
LAST_NORM = f"{VELOCITY}norm.weight"  # of 6.1
SIZES = {"sampling_rate": "data.sampling_rate", "block_size": "data.block_size", "win_length": "model.win_length"}
UNUSED = {
    "6.0": re.compile(
        rf"{re.escape(CONTROL)}decoder\.encoder_layers\.\d+\.norm\.(?:weight|bias)"
        rf"|{re.escape(VELOCITY)}residual_layers\.\d+\.norm\.(?:weight|bias)"
    ),
    "6.1": re.compile(rf"{re.escape(CONTROL)}(?:f0|phase)_embed\.(?:weight|bias)"),
}


def recognises(content: dict) -> bool:
    model = content.get("model")
    return isinstance(model, dict) and any(mark in model for mark in MARKS.values())


def read(content: dict, path: Path, options: ReadOptions) -> Checkpoint:
    state = state_dict(content, "model", path)
    version = "6.1" if LAST_NORM in state else "6.0"
    if MARKS[version] not in state:
        raise CheckpointError(
            f"{path} is neither DDSP-SVC 6.0 nor 6.1: {MARKS[version]} is missing", "download the checkpoint again"
        )
    sizes = {name: _integer(state, name, path) for name in SIZES}
    dropped = {f"ddsp_model.{name}" for name in (*SIZES, "window")}
    state = {key: w for key, w in state.items() if key not in dropped and not UNUSED[version].fullmatch(key)}
    own = _own_sizes(state)
    yaml, missing = _yaml(path, options, own, sizes)
    for name, key in SIZES.items():
        written = yaml.get(key, int)
        if sizes[name] is not None and sizes[name] != written:
            raise CheckpointError(
                f"{yaml.path}: {key} is {written}, and {path.name} was trained with {sizes[name]}",
                "use the config.yaml of this checkpoint",
            )
    for key in ("model.n_layers", "model.n_aux_layers"):
        if yaml.get(key, int, 0) > len(state):
            raise CheckpointError(
                f"{yaml.path}: {key} is {yaml.get(key, int)}, the checkpoint has {len(state)} tensors",
                "use the config.yaml of this checkpoint",
            )
    method, notes = _f0_method(yaml)
    try:
        config = _config(yaml, version, _bins(state, path), method, own)
    except ConfigError as error:
        raise CheckpointError(f"{yaml.path}: {error.message}", error.remedy) from None
    tensors, names = folded(state, path)
    from fastsvc.model.ddsp import DdspModel

    return Checkpoint(
        path=path,
        format="ddsp_svc6",
        kind="ddsp",
        config=config,
        tensors=fit(tensors, lambda: DdspModel(config), path, lambda name: names.get(name, name)),
        speakers=unit2mel.speaker_names(yaml, config.speakers, 1),
        speaker_base=1,
        step=count(content, "global_step"),
        notes=notes,
        missing=missing,
        mel_fields=("rate_hz", "hop_samples", "bins"),
    )


def _integer(state: dict[str, Tensor], name: str, path: Path) -> int | None:
    """One of the synthesiser's sizes; None where the file does not have it."""
    value = state.get(f"ddsp_model.{name}")
    if value is None:
        return None
    if value.numel() != 1 or value.dtype not in (torch.int64, torch.int32) or not 0 < int(value) < 2**24:
        raise CheckpointError(
            f"{path}: ddsp_model.{name} is {value.dtype} of shape {tuple(value.shape)}, not a size",
            "download the checkpoint again",
        )
    return int(value)


def _bins(state: dict[str, Tensor], path: Path) -> int:
    weight = state.get(f"{VELOCITY}input_projection.weight")
    if weight is None or weight.dim() != 3:
        fault = "missing" if weight is None else f"of shape {tuple(weight.shape)}"
        raise CheckpointError(f"{path}: {VELOCITY}input_projection.weight is {fault}", "download the checkpoint again")
    return weight.shape[1]


def _config(yaml: YamlFile, version: str, bins: int, method: str, own: dict[str, int | bool]) -> DdspConfig:
    """``own``: of :func:`_own_sizes`, for version 6.0, whose control network has no sizes in the YAML."""
    rate_hz, hop = yaml.get("data.sampling_rate", int), yaml.get("data.block_size", int)
    window, newer = max(2048, hop), version == "6.1"
    return DdspConfig(
        version=version,
        mel=MelConfig(rate_hz, hop, window, window, bins, 40.0, min(16000.0, rate_hz / 2), "e"),
        features=FeatureConfig(
            encoder=yaml.get("data.encoder", str),
            unit_channels=yaml.get("data.encoder_out_channels", int),
            unit_align="round",
            f0_method=method,
            f0_style="diffusion_svc",
            f0_low_hz=yaml.get("data.f0_min", float, 65.0),
            f0_high_hz=yaml.get("data.f0_max", float, 800.0),
        ),
        speakers=max(yaml.get("model.n_spk", int, 1), 1),
        window_samples=yaml.get("model.win_length", int),
        hidden=yaml.get("model.n_aux_chans", int, 256) if newer else own["n_aux_chans"],
        hidden_layers=yaml.get("model.n_aux_layers", int, 3) if newer else own["n_aux_layers"],
        channels=yaml.get("model.n_chans", int),
        layers=yaml.get("model.n_layers", int),
        key_shift=yaml.get("model.use_pitch_aug", bool, False),
        norm=newer and yaml.get("model.use_norm", bool, False),
        attention=newer and yaml.get("model.use_attention", bool, False),
        t_start=yaml.get("model.t_start", float, 0.0),
    )


def _f0_method(yaml: YamlFile) -> tuple[str, tuple[str, ...]]:
    method = yaml.get("data.f0_extractor", str, "")
    if method in F0_METHODS:
        return method, ()
    name = shown(method) if method else "a method that the file does not name"
    return "yin", (f"trained on f0 by {name}; yin finds f0 instead",)


def _yaml(
    path: Path, options: ReadOptions, own: dict[str, int | bool], sizes: dict[str, int | None]
) -> tuple[YamlFile, tuple[str, ...]]:
    """(the run's YAML, files still missing). To inspect, the tensors' sizes suffice."""
    if not options.inspect_only or options.config is not None or path.with_name("config.yaml").is_file():
        return YamlFile(path, options), ()
    data = {
        "sampling_rate": sizes["sampling_rate"] or 44100,
        "block_size": sizes["block_size"] or 512,
        "encoder": "unknown",
        "encoder_out_channels": own["n_unit"],
    }
    model = {**own, "win_length": sizes["win_length"] or 2048, "t_start": 0.7}
    files = config_search.candidates(path, config_search.YAML)
    hint = f" ({', '.join(file.name for file in files[: config_search.MAX_LISTED])} lies there)" if files else ""
    missing = f"config.yaml of the training run, beside the checkpoint or with --config{hint}"
    return YamlFile.of({"model": model, "data": data}, path), (missing,)


def _own_sizes(state: dict[str, Tensor]) -> dict[str, int | bool]:
    """Keys of the YAML's `model`, and `n_unit`, as far as the tensors' shapes tell them."""
    shapes = {name: tuple(value.shape) for name, value in state.items()}

    def size(name: str, axis: int, default: int) -> int:
        found = next((shapes[key] for key in (name, f"{name}_v") if key in shapes), ())
        return found[axis] if axis < len(found) else default

    def layers(start: str) -> int:
        return len({name.removeprefix(start).split(".")[0] for name in shapes if name.startswith(start)})

    blocks = f"{CONTROL}decoder.encoder_layers."
    return {
        "n_unit": size(f"{CONTROL}stack.0.weight", 1, 768),
        "n_aux_layers": layers(blocks),
        "n_aux_chans": size(f"{CONTROL}volume_embed.weight", 0, 256),
        "n_layers": layers(f"{VELOCITY}residual_layers."),
        "n_chans": size(f"{VELOCITY}input_projection.weight", 0, 512),
        "n_spk": size(f"{CONTROL}spk_embed.weight", 0, 1),
        "use_pitch_aug": f"{CONTROL}aug_shift_embed.weight" in shapes,
        "use_norm": f"{blocks}0.conformer.net.0.weight" in shapes,
        "use_attention": f"{blocks}0.attn.linear1.weight" in shapes,
    }
