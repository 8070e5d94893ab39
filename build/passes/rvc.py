"""Passes 3 and 4 for RVC's voices: folding and lowering of text encoder, flow and speakers (artifact/lowered_rvc.py).

In float64, so that folding adds no error of its own. Folded layouts are [layers, out, in]; lowering turns them around.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastsvc.config.rvc import RvcConfig


def fold(weights: dict[str, Tensor], config: RvcConfig) -> dict[str, Tensor]:
    """The tensors of RvcModel, float64 → those of the lowered form, matrices still [out, in]."""
    return {**fold_encoder(weights, config), **fold_flow(weights, config)}


def lower(folded: dict[str, Tensor]) -> dict[str, Tensor]:
    """[…, out, in] → […, in, out], float32."""
    turned = {name: value.mT if name.endswith(".weight") else value for name, value in folded.items()}
    return {name: value.to(torch.float32).contiguous() for name, value in turned.items()}


def fold_encoder(weights: dict[str, Tensor], config: RvcConfig) -> dict[str, Tensor]:
    part = {name.removeprefix("enc_p."): value for name, value in weights.items() if name.startswith("enc_p.")}
    pitch = part["emb_pitch.weight"] if config.pitch else 0

    def stack(group: str, name: str) -> Tensor:
        return torch.stack([part[f"encoder.{group}.{i}.{name}"] for i in range(config.layers)])

    def joined(kind: str) -> Tensor:
        return torch.cat([stack("attn_layers", f"conv_{row}.{kind}") for row in "qkv"], dim=1)

    folded = {
        "encoder.input.weight": part["emb_phone.weight"],
        "encoder.input.bias": torch.atleast_2d(part["emb_phone.bias"] + pitch) * math.sqrt(config.hidden),
        "encoder.qkv.weight": joined("weight")[..., 0],
        "encoder.qkv.bias": joined("bias"),
        "encoder.relative.keys": stack("attn_layers", "emb_rel_k")[:, 0],
        "encoder.relative.values": stack("attn_layers", "emb_rel_v")[:, 0],
        "encoder.attended.weight": stack("attn_layers", "conv_o.weight")[..., 0],
        "encoder.attended.bias": stack("attn_layers", "conv_o.bias"),
        "encoder.widen.weight": taps_in_columns(stack("ffn_layers", "conv_1.weight")),
        "encoder.widen.bias": stack("ffn_layers", "conv_1.bias"),
        "encoder.narrow.weight": taps_in_rows(stack("ffn_layers", "conv_2.weight")),
        "encoder.narrow.bias": stack("ffn_layers", "conv_2.bias"),
        "encoder.prior.weight": part["proj.weight"][..., 0],
        "encoder.prior.bias": part["proj.bias"],
    }
    for name, upstream in (("first_norm", "norm_layers_1"), ("second_norm", "norm_layers_2")):
        folded[f"encoder.{name}.gain"] = stack(upstream, "gamma")
        folded[f"encoder.{name}.bias"] = stack(upstream, "beta")
    return folded


def fold_flow(weights: dict[str, Tensor], config: RvcConfig) -> dict[str, Tensor]:
    """The couplings in the order in which they run, and the speakers' rows over all of them."""
    rows = [fold_coupling(weights, config, i) for i in range(config.couplings)]
    folded = {f"flow.{name}": torch.stack([row[name] for row in rows]) for name in rows[0] if name != "speakers"}
    return {**folded, "condition.speakers": torch.cat([row["speakers"] for row in rows], dim=1)}


def fold_coupling(weights: dict[str, Tensor], config: RvcConfig, run: int) -> dict[str, Tensor]:
    """One coupling. Channels are reversed before each, so those of the first, the third, … find them reversed."""
    name, layers, width = f"flow.flows.{2 * (config.couplings - 1 - run)}.", config.flow_layers, config.hidden
    part = {key.removeprefix(name): value for key, value in weights.items() if key.startswith(name)}
    convs = [f"enc.in_layers.{i}." for i in range(layers)]
    post = part["post.weight"][..., 0]
    residuals, residual_biases, outputs, bias = [], [], [], part["post.bias"]
    for i in range(layers):
        out, out_bias = part[f"enc.res_skip_layers.{i}.weight"][..., 0], part[f"enc.res_skip_layers.{i}.bias"]
        if i < layers - 1:
            residuals.append(out[:width])
            residual_biases.append(out_bias[:width])
        outputs.append(-post @ out[-width:])
        bias = bias + post @ out_bias[-width:]
    read, shift, shift_bias = part["pre.weight"][..., 0], torch.cat(outputs, dim=1), -bias
    if run % 2 == 0:
        read, shift, shift_bias = read.flip(1), shift.flip(0), shift_bias.flip(0)
    speakers = weights["emb_g.weight"] @ part["enc.cond_layer.weight"][..., 0].T + part["enc.cond_layer.bias"]
    return {
        "input.weight": read,
        "input.bias": part["pre.bias"],
        "conv.weight": torch.stack([taps_in_columns(part[conv + "weight"]) for conv in convs]),
        "residual.weight": torch.stack(residuals) if residuals else read.new_zeros(0, width, width),
        "residual.bias": torch.stack(residual_biases) if residuals else read.new_zeros(0, width),
        "output.weight": shift,
        "output.bias": shift_bias,
        "speakers": speakers + torch.cat([part[conv + "bias"] for conv in convs]),
    }


def taps_in_columns(weight: Tensor) -> Tensor:
    """[…, out, in, taps] → […, out, taps·in], for an operand of neighbouring rows side by side."""
    return weight.transpose(-1, -2).flatten(-2)


def taps_in_rows(weight: Tensor) -> Tensor:
    """[…, out, in, taps] → […, taps·out, in], for contributions to neighbouring rows side by side."""
    return weight.movedim(-1, -3).flatten(-3, -2)
