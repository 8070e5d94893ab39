"""Pass 3, fold: everything that weights and schedules make constant, computed once.

In float64, so that folding adds no error of its own. Layouts stay [out, in]; lowering turns them around.
RVC's voices: build/passes/rvc.py; DDSP-SVC 6: build/passes/ddsp.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastsvc.build.passes import ddsp, rvc
from fastsvc.build.plan import CheckedPlan, FoldedPlan
from fastsvc.config import AcousticConfig, AnyAcousticConfig, DdspConfig, RvcConfig
from fastsvc.model import process, pulse_mel
from fastsvc.model.wavenet import step_features, step_mlp


def fold_pass(plan: CheckedPlan) -> FoldedPlan:
    weights = {name: value.double() for name, value in plan.acoustic.tensors.items()}
    return plan.then(FoldedPlan, folded=fold(weights, plan.acoustic_config, plan.levels))


def fold(weights: dict[str, Tensor], config: AnyAcousticConfig, levels: list[float]) -> dict[str, Tensor]:
    """An acoustic model's tensors, float64, folded."""
    if isinstance(config, RvcConfig):
        return rvc.fold(weights, config)
    if isinstance(config, DdspConfig):
        return ddsp.fold(weights, config, levels)
    return {
        **fold_condition(weights, config),
        **fold_layers(weights, config.denoiser.layers),
        **fold_skips(weights, config.denoiser.layers),
        "steps": step_vectors(weights, config, levels),
    }


def fold_condition(weights: dict[str, Tensor], config: AcousticConfig) -> dict[str, Tensor]:
    """All biases join the speaker's row, one vector an utterance. f0 and loudness stay vectors, times scalars.

    Between the rows of the pulses' table values are linear, so the map goes into the rows: M numbers a frame and their
    product become two rows of H.
    """
    if config.amphion is not None:  # not linear, so it stays a module
        return {name: w for name, w in weights.items() if name.startswith("condition.")}
    part = {name.removeprefix("condition."): w for name, w in weights.items() if name.startswith("condition.")}
    bias = part["unit_embed.bias"] + part["f0_embed.bias"] + part["volume_embed.bias"]
    folded = {
        "condition.units": part["unit_embed.weight"],
        "condition.f0": part["f0_embed.weight"][:, 0],
        "condition.volume": part["volume_embed.weight"][:, 0],
        "condition.speakers": part["spk_embed.weight"] + bias if config.condition.speakers > 1 else bias[None],
    }
    if config.condition.key_shift:
        folded["condition.key_shift"] = part["aug_shift_embed.weight"][:, 0] / 5
    if config.condition.voicing:
        folded["condition.voiced"] = part["voiced_embed.weight"][:, 0]
    if config.condition.pulses:
        folded["condition.pulses"] = pulse_mel.table(config.mel, config.norm) @ part["pulse_embed.weight"].T
    return folded


def fold_layers(weights: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Per layer: convolution and condition with one bias; the residual half of the 1×1 with 1/√2 inside."""
    folded = {
        "input.weight": weights["denoiser.input_projection.weight"][:, :, 0],
        "input.bias": weights["denoiser.input_projection.bias"],
        "output.weight": weights["denoiser.output_projection.weight"][:, :, 0],
        "output.bias": weights["denoiser.output_projection.bias"],
    }
    for i in range(layers):
        layer = f"denoiser.residual_layers.{i}."
        conv, cond = weights[layer + "dilated_conv.weight"], weights[layer + "conditioner_projection.weight"]
        folded[f"conv.{i}.weight"] = torch.cat([conv[:, :, 0], conv[:, :, 1], conv[:, :, 2], cond[:, :, 0]], dim=1)
        folded[f"conv.{i}.bias"] = weights[layer + "dilated_conv.bias"] + weights[layer + "conditioner_projection.bias"]
        if i + 1 < layers:
            out, bias = weights[layer + "output_projection.weight"], weights[layer + "output_projection.bias"]
            width = len(out) // 2
            folded[f"residual.{i}.weight"] = out[:width, :, 0] / math.sqrt(2)
            folded[f"residual.{i}.bias"] = bias[:width] / math.sqrt(2)
    return folded


def fold_skips(weights: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """skip_projection(Σ skip_l / √L), linear in the gated outputs z_l, as one matrix a layer and one bias."""
    head, bias = weights["denoiser.skip_projection.weight"][:, :, 0], weights["denoiser.skip_projection.bias"]
    folded = {}
    for i in range(layers):
        layer = f"denoiser.residual_layers.{i}.output_projection."
        out, out_bias = weights[layer + "weight"][:, :, 0], weights[layer + "bias"]
        width = len(out) // 2
        folded[f"skip.{i}.weight"] = head @ out[width:] / math.sqrt(layers)
        bias = bias + head @ out_bias[width:] / math.sqrt(layers)
    return {**folded, "skip.bias": bias}


def step_vectors(weights: dict[str, Tensor], config: AcousticConfig, levels: list[float]) -> Tensor:
    """d_l at each noise level, [levels, L, C]: the step embedding's mlp, then the projection in layers with one."""
    c_noise = process.coefficients(config, torch.tensor(levels, dtype=torch.float32))[3]
    w = {name.removeprefix("denoiser."): value for name, value in weights.items() if name.startswith("denoiser.")}
    with torch.device("meta"):
        mlp = step_mlp(config.denoiser)
    layers = {name.removeprefix("mlp."): value for name, value in w.items() if name.startswith("mlp.")}
    mlp.load_state_dict(layers, assign=True)
    with torch.no_grad():
        step = mlp(step_features(c_noise, config.denoiser).double())
    if config.denoiser.step_embedding == "amphion":
        return step[:, None].expand(-1, config.denoiser.layers, -1)
    projections = [f"residual_layers.{i}.diffusion_projection." for i in range(config.denoiser.layers)]
    return torch.stack([step @ w[p + "weight"].T + w[p + "bias"] for p in projections], dim=1)
