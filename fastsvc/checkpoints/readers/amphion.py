"""Checkpoints of Amphion's DiffComoSVC (open-mmlab/Amphion, egs/svc/DiffComoSVC): a folder that accelerate wrote.

`EXPERIMENT/checkpoint/epoch-…_step-…_loss-…/` holds `pytorch_model.bin` or `model.safetensors`; the experiment's
`args.json` and `singers.json` are looked for beside it and in EXPERIMENT. `mel_min.npy` and `mel_max.npy` belong to the
dataset and must be copied to one of these places.
Keys are those of a ModuleList: `0.*` the condition encoder, `1.encoder.*` the Conformer, `1.decoder.denoise_fn*.*` the
denoiser. Sampling from a student takes the moving average `denoise_fn_ema`, unlike CoMoSVC; the other copies are
dropped.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.files import config_search, speaker_table
from fastsvc.checkpoints.files.json5_file import Json5File
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers import amphion_config
from fastsvc.config import AcousticConfig
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.keys import fit
from fastsvc.reading.loading import state_dict

DECODER, STUDENT, TEACHER = "1.decoder.", "denoise_fn_ema.", "denoise_fn."
UNUSED = "denoise_fn_pretrained."
SINGERS = "condition.encoder.singer_encoder.nn.weight"
NAMES = {  # inside the denoiser, upstream's prefix: the model's
    "diff_encoder.out.": "mlp.",
    "neural_network.input.0.": "input_projection.",
    "neural_network.out_proj.0.": "skip_projection.",
    "neural_network.out_proj.2.": "output_projection.",
    "neural_network.residual_blocks.": "residual_layers.",
}
LAYER_NAMES = {".gau.conv.": ".dilated_conv.", ".gau.context_proj.": ".conditioner_projection."}
LAYER_NAMES |= {".out_proj.": ".output_projection."}
_EPOCH = re.compile(r"(final_)?epoch-\d+_step-(\d+)_loss-.*")


def recognises(content: dict) -> bool:
    return any(str(key).removeprefix("module.").startswith(DECODER + TEACHER) for key in content)


def read(content: dict, path: Path, options: ReadOptions) -> Checkpoint:
    bare = {str(name).removeprefix("module."): value for name, value in content.items()}
    state = state_dict({"model": bare}, "model", path)
    student = any(name.startswith(DECODER + STUDENT) for name in state)
    network = DECODER + (STUDENT if student else TEACHER)
    dropped = tuple(DECODER + copy for copy in (STUDENT, TEACHER, UNUSED) if DECODER + copy != network)
    tensors = {_model_name(name, network): value for name, value in state.items() if not name.startswith(dropped)}
    folders = _folders(path, options.config)
    settings_path = options.config or _find(folders, ("args.json", "config.json"), path)
    file = Json5File(settings_path, "the experiment's args.json", options.notes)
    singers = _singers(folders, options.notes)
    try:
        acoustic = amphion_config.acoustic(file, folders, options.inspect_only)
    except ConfigError as error:
        raise CheckpointError(f"{file.path}: {error.message}", error.remedy) from None
    assert acoustic.amphion, "acoustic() sets it"
    if acoustic.denoiser.layers + acoustic.amphion.layers > len(tensors):
        raise CheckpointError(f"{file.path} has more layers than {path} has tensors", "use the args.json of this run")
    tensors = fit(tensors, lambda: _module(acoustic), path, lambda name: _file_name(name, network))
    acoustic, names = _with_names(acoustic, tensors, singers)
    step = _EPOCH.fullmatch(path.parent.name)
    return Checkpoint(
        path=path,
        format="amphion",
        kind="student" if student else "teacher",
        config=acoustic,
        tensors=_gates_first(tensors),
        speakers=names,
        step=int(step[2]) if step else 0,
        notes=tuple(_notes(file, student, singers)),
        missing=amphion_config.missing(file, folders),
    )


def _module(config: AcousticConfig):
    from fastsvc.model.acoustic import AcousticModel

    return AcousticModel(config)


def _gates_first(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Swap the halves: upstream's filter (tanh) comes before its gate (σ), the model's gate before its filter."""

    def swapped(name: str, value: Tensor) -> Tensor:
        gated = ".dilated_conv." in name or ".conditioner_projection." in name
        return torch.cat(value.chunk(2)[::-1]) if gated else value

    return {name: swapped(name, value) for name, value in tensors.items()}


def _model_name(name: str, network: str) -> str:
    """The file's name → the model's. Other names stay as they are, and count as unexpected."""
    if name.startswith(network):
        inner = _renamed(name.removeprefix(network), NAMES, first=True)
        return "denoiser." + (_renamed(inner, LAYER_NAMES) if inner.startswith("residual_layers.") else inner)
    if name.startswith("0."):
        return "condition.encoder." + name[2:]
    return "condition.conformer." + name.removeprefix("1.encoder.") if name.startswith("1.encoder.") else name


def _file_name(name: str, network: str) -> str:
    """The inverse of :func:`_model_name`."""
    if name.startswith("denoiser."):
        inner = name.removeprefix("denoiser.")
        if inner.startswith("residual_layers."):
            inner = _renamed(inner, {new: old for old, new in LAYER_NAMES.items()})
        return network + _renamed(inner, {new: old for old, new in NAMES.items()}, first=True)
    encoder = name.replace("condition.encoder.", "0.", 1)
    return encoder.replace("condition.conformer.", "1.encoder.", 1)


def _renamed(name: str, table: dict[str, str], first: bool = False) -> str:
    for old, new in table.items():
        if name.startswith(old) if first else old in name:
            return name.replace(old, new, 1)
    return name


def _folders(path: Path, config: Path | None) -> list[Path]:
    """Folders that may hold files about this checkpoint, the nearest first."""
    folders = [path.parent]
    if _EPOCH.fullmatch(path.parent.absolute().name):
        folders += list(path.parent.absolute().parents)[:2]
    return folders + ([config.parent] if config is not None else [])


def _find(folders: list[Path], names: tuple[str, ...], path: Path) -> Path:
    for name in names:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    raise CheckpointError(
        f"{path} needs its configuration, and there is no {names[0]} in {', '.join(map(str, folders))}",
        _proposed(path) or "copy the experiment's args.json there, or name args.json with --config",
    )


def _proposed(path: Path) -> str:
    return (
        config_search.proposal(path, "args.json", config_search.JSON)
        if config_search.candidates(path, config_search.JSON)
        else ""
    )


def _singers(folders: list[Path], notes: list[str]) -> Json5File | None:
    files = [folder / "singers.json" for folder in folders if (folder / "singers.json").is_file()]
    return Json5File(files[0], "the experiment's singers.json", notes) if files else None


def _with_names(config: AcousticConfig, tensors: dict, singers: Json5File | None) -> tuple:
    """(config for the singers with names, the names by id). Other rows of the table are untrained and cut off."""
    size = config.condition.speakers
    if singers is None:
        return config, tuple(f"speaker {i}" for i in range(size))
    speaker_table.names_by_id(singers.values, size, 0, f"{singers.path}: ")  # raises for an invalid table
    count = max(singers.values.values(), default=0) + 1
    names = speaker_table.names_by_id(singers.values, count, 0, f"{singers.path}: ")
    tensors[SINGERS] = tensors[SINGERS][:count].contiguous()
    return replace(config, condition=replace(config.condition, speakers=count)), tuple(names)


def _notes(file: Json5File, student: bool, singers: Json5File | None):
    yield "moving average (denoise_fn_ema); upstream samples it in one step only" if student else "denoise_fn"
    datasets = file.get("dataset", list, [])
    if len(datasets) > 1:
        yield (
            f"trained on {len(datasets)} datasets, each with a mel normalisation of its own: this one is right for the"
            " singers of the dataset that mel_min.npy and mel_max.npy came from"
        )
    if singers is None:
        yield "no singers.json: speakers are numbered, and most rows of the table are untrained"
