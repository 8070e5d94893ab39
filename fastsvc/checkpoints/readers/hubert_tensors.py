"""The tensors of a HuBERT file, under any names, as those of our model; sizes are read off the tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.config import HubertConfig, from_dict
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.keys import fit

POSITION = "encoder.pos_conv_embed.conv.weight"
_LAYER = re.compile(r"(?:^|\.)encoder\.layers\.(\d+)\.")
Names = Callable[[str], str]  # the model's name → the file's


def assemble(state: dict[str, Tensor], path: Path, form: str, names: Names, known_fields: dict, ignored) -> Checkpoint:
    """The checkpoint in ``state``. ``known_fields`` of HubertConfig are taken as they are; the rest is measured.

    Raises CheckpointError naming every key, as the file calls it, that is missing, unexpected or of a wrong shape.
    """
    from fastsvc.model.hubert import Hubert

    try:
        config = from_dict(HubertConfig, {**measure(state, names), **known_fields}, "hubert")
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error.message}", "use HuBERT-base or ContentVec") from None
    if max(config.layers, len(config.conv_channels)) > len(state):
        raise CheckpointError(f"{path}: its configuration has {config.layers} layers, the file {len(state)} tensors")
    try:
        with torch.device("meta"):
            model_names = {names(name): name for name in Hubert(config).state_dict()}
    except (RuntimeError, OverflowError, TypeError) as error:  # sizes whose product overflows
        raise CheckpointError(
            f"{path}: its configuration does not describe a model: {error}", "correct the sizes in the configuration"
        ) from None
    file_names = {name: key for key, name in model_names.items()}
    state = _fold_position({key: value for key, value in state.items() if key not in ignored}, config, names, path)
    halved = any(value.dtype == torch.float16 for value in state.values())
    tensors = {model_names.get(key, key): value for key, value in state.items()}
    return Checkpoint(
        path=path,
        format=form,
        kind="hubert",
        config=config,
        tensors=fit(tensors, lambda: Hubert(config), path, lambda name: file_names.get(name, name)),
        notes=("stored in half precision",) if halved else (),
    )


def measure(state: dict[str, Tensor], names: Names) -> dict:
    """Sizes by majority, so that a tensor of a wrong shape is the one that the error names. Strides, kernels and the
    positional convolution are those of HuBERT-base, from which no released file differs.
    """
    layers = len({match[1] for key in state if (match := _LAYER.search(key))})

    def vote(*axes: tuple[str, int], default: int) -> int:
        counts = Counter(
            tuple(state[names(name)].shape)[axis]
            for name, axis in axes
            if names(name) in state and state[names(name)].dim() > axis
        )
        return counts.most_common(1)[0][0] if counts else default

    prefixes = [f"encoder.layers.{i}." for i in range(layers)]
    base = HubertConfig()
    channels = vote(*((f"{layer}final_layer_norm.weight", 0) for layer in prefixes), default=base.channels)
    hidden = [(f"{layer}feed_forward.{part}", 0) for layer in prefixes for part in ("intermediate_dense.bias",)]
    hidden += [(f"{layer}feed_forward.output_dense.weight", 1) for layer in prefixes]
    convs = [(f"feature_extractor.conv_layers.{i}.conv.weight", 0) for i in range(len(base.conv_channels))]
    return {
        "channels": channels,
        "layers": max(layers, 1),
        "heads": max(channels // 64, 1),
        "hidden": vote(*hidden, default=base.hidden),
        "conv_channels": [vote(*convs, default=base.conv_channels[0])] * len(base.conv_channels),
        "projection": vote(("final_proj.bias", 0), ("final_proj.weight", 0), default=0),
    }


def _fold_position(state: dict[str, Tensor], config: HubertConfig, names: Names, path: Path) -> dict[str, Tensor]:
    """Fold the weight norm of the positional convolution, which has one gain for each tap."""
    folded = names(POSITION)
    module = folded.removesuffix("weight")
    for gain, direction in (
        ("weight_g", "weight_v"),
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    ):
        pair = {module + gain: (1, 1, config.position_kernel)}
        pair[module + direction] = (config.channels, config.channels // config.position_groups, config.position_kernel)
        if not any(key in state for key in pair):
            continue
        faults = [f"missing: {key}" for key in pair if key not in state]
        for key, shape in pair.items():
            if key in state and tuple(state[key].shape) != shape:
                faults.append(f"{key} has shape {tuple(state[key].shape)} instead of {shape}")
        if faults:
            raise CheckpointError(f"{path} is not a complete HuBERT: {'; '.join(faults)}", "download the file again")
        g, v = (state[key].double() for key in pair)
        others = {key: value for key, value in state.items() if key not in pair}
        return others | {folded: (v * (g / v.norm(dim=(0, 1), keepdim=True))).float()}
    return state
