"""Passes 3 and 4 for voices of DDSP-SVC 6: folding and lowering (artifact/lowered_ddsp.py).

In float64, so that folding adds no error of its own. Folded layouts are [layers, out, in]; lowering turns them around.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.build.passes.rvc import taps_in_columns
from fastsvc.config.ddsp import DdspConfig
from fastsvc.model.ddsp.control import SHIFT_SEMITONES
from fastsvc.model.ddsp.velocity import NAMES, TIME_SCALE, TimeFeatures

CONTROL, VELOCITY = "ddsp_model.unit2ctrl.", "reflow_model.velocity_fn."
Weights = dict[str, Tensor]


def fold(weights: Weights, config: DdspConfig, levels: list[float]) -> Weights:
    """The tensors of DdspModel, float64 → those of the lowered form, matrices still [out, in]."""
    control = {name.removeprefix(CONTROL): w for name, w in weights.items() if name.startswith(CONTROL)}
    velocity = {name.removeprefix(VELOCITY): w for name, w in weights.items() if name.startswith(VELOCITY)}
    return {**fold_control(control, config), **fold_velocity(velocity, config, levels)}


def fold_control(part: Weights, config: DdspConfig) -> Weights:
    second, older = "stack.3." if config.version == "6.0" else "stack.2.", config.version == "6.0"
    stack, bias = part[second + "weight"], part[second + "bias"] + part["volume_embed.bias"]
    folded = {
        "control.units.weight": taps_in_columns(part["stack.0.weight"]),
        "control.units.bias": part["stack.0.bias"],
        "control.volume": part["volume_embed.weight"][:, 0],
        **blocks("control", [f"decoder.encoder_layers.{i}.conformer." for i in range(config.hidden_layers)], part),
    }
    if older:
        bias = bias + part["f0_embed.bias"] + part["phase_embed.bias"]
        folded |= {"control.f0": part["f0_embed.weight"][:, 0], "control.phase": part["phase_embed.weight"][:, 0]}
        folded |= {"control.group.gain": part["stack.1.weight"], "control.group.bias": part["stack.1.bias"]}
    else:
        bias = bias + part["stack2.2.bias"]
        stack = torch.cat([stack, part["stack2.2.weight"]], dim=1)
        folded |= {"control.units.slope": part["stack.1.weight"], "control.excitation.slope": part["stack2.1.weight"]}
        folded["control.excitation.weight"] = taps_in_columns(part["stack2.0.weight"])
        folded["control.excitation.bias"] = part["stack2.0.bias"]
    folded["control.stack.weight"] = taps_in_columns(stack)
    folded["control.speakers"] = part["spk_embed.weight"] + bias if config.speakers > 1 else bias[None]
    if config.key_shift:
        folded["control.key_shift"] = part["aug_shift_embed.weight"][:, 0] / SHIFT_SEMITONES
    if config.attention:
        folded |= fold_attention(part, config.hidden_layers)
    output = normed(part["dense_out.weight"], part["dense_out.bias"], part["norm.weight"], part["norm.bias"])
    return {**folded, "control.output.weight": output[0], "control.output.bias": output[1]}


def fold_attention(part: Weights, layers: int) -> Weights:
    """Frames attend to themselves alone: softmax of one score is 1, so queries and keys do not matter."""
    rows = [_attention(part, f"decoder.encoder_layers.{i}.") for i in range(layers)]
    return {f"control.{name}": torch.stack([row[name] for row in rows]) for name in rows[0]}


def _attention(part: Weights, layer: str) -> Weights:
    own = {name.removeprefix(layer + "attn."): w for name, w in part.items() if name.startswith(layer + "attn.")}
    value = own["self_attn.in_proj_weight"].chunk(3)[2]
    value_bias = own["self_attn.in_proj_bias"].chunk(3)[2]
    out = own["self_attn.out_proj.weight"]
    return {
        "before_norm.gain": part[layer + "norm.weight"],
        "before_norm.bias": part[layer + "norm.bias"],
        "attended.weight": out @ value,
        "attended.bias": out @ value_bias + own["self_attn.out_proj.bias"],
        "first_norm.gain": own["norm1.weight"],
        "first_norm.bias": own["norm1.bias"],
        "feed.weight": own["linear1.weight"],
        "feed.bias": own["linear1.bias"],
        "fed.weight": own["linear2.weight"],
        "fed.bias": own["linear2.bias"],
        "second_norm.gain": own["norm2.weight"],
        "second_norm.bias": own["norm2.bias"],
    }


def fold_velocity(part: Weights, config: DdspConfig, levels: list[float]) -> Weights:
    names, layers = NAMES[config.version], [f"residual_layers.{i}." for i in range(config.layers)]
    output, output_bias = part["output_projection.weight"][..., 0], part["output_projection.bias"]
    if config.version == "6.1":
        output, output_bias = normed(output, output_bias, part["norm.weight"], part["norm.bias"])
    embedded = step_embedding(part, config, levels)
    steps = [
        embedded @ part[f"{layer}{names['step']}.weight"][..., 0].T
        + part[f"{layer}{names['step']}.bias"]
        + part[f"{layer}{names['condition']}.bias"]
        for layer in layers
    ]
    return {
        "velocity.input.weight": part["input_projection.weight"][..., 0],
        "velocity.input.bias": part["input_projection.bias"],
        "velocity.condition.weight": torch.stack(
            [part[f"{layer}{names['condition']}.weight"][..., 0] for layer in layers]
        ),
        **blocks("velocity", [f"{layer}{names['block']}." for layer in layers], part),
        "velocity.output.weight": output,
        "velocity.output.bias": output_bias,
        "steps.vectors": torch.stack(steps, dim=1),
    }


def step_embedding(part: Weights, config: DdspConfig, levels: list[float]) -> Tensor:
    """[levels, C], the features' frequencies in float32 as the specification computes them."""
    times = TIME_SCALE * (1 - torch.tensor(levels, dtype=torch.float64))
    features = TimeFeatures(config.channels)(times)
    wide = torch.nn.functional.gelu(
        features @ part["diffusion_embedding.1.weight"].T + part["diffusion_embedding.1.bias"]
    )
    return wide @ part["diffusion_embedding.3.weight"].T + part["diffusion_embedding.3.bias"]


def blocks(name: str, prefixes: list[str], part: Weights) -> Weights:
    """The stacked tensors of a network's blocks."""
    rows = [
        _block({key.removeprefix(prefix): w for key, w in part.items() if key.startswith(prefix)})
        for prefix in prefixes
    ]
    return {f"{name}.{key}": torch.stack([row[key] for row in rows]) for key in rows[0]}


def _block(net: Weights) -> Weights:
    """The parts of one block, `net.0` … `net.6`: norm, 1×1, depthwise, slopes, 1×1."""
    widen, widen_bias = net["net.2.weight"][..., 0], net["net.2.bias"]
    if "net.0.weight" in net:
        widen, widen_bias = normed(widen, widen_bias, net["net.0.weight"], net["net.0.bias"])
    folded = {
        "widen.weight": widen,
        "widen.bias": widen_bias,
        "taps": net["net.4.weight"][:, 0].T,
        "taps.bias": net["net.4.bias"],
        "narrow.weight": net["net.6.weight"][..., 0],
        "narrow.bias": net["net.6.bias"],
    }
    return folded | ({"slope": net["net.5.weight"]} if "net.5.weight" in net else {})


def normed(weight: Tensor, bias: Tensor, gain: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """[out, in] and [out] after a norm's gain and offset [in] → the same for the norm without them."""
    return weight * gain, bias + weight @ offset
