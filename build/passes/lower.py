"""Pass 4, lower: channels-last layouts, layers stacked, stored at the chosen precision (artifact/lowered.py)."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.artifact import engine_folder, lowered
from fastsvc.build.passes import index, rvc
from fastsvc.build.plan import FoldedPlan, LoweredPlan
from fastsvc.config import DdspConfig, RvcConfig
from fastsvc.engine.cpu import denoiser_bf16
from fastsvc.model import stored


def lower_pass(plan: FoldedPlan) -> LoweredPlan:
    config = plan.acoustic_config
    if isinstance(config, (RvcConfig, DdspConfig)):
        tensors = rvc.lower(plan.folded)  # the same turning around
    else:
        tensors = lower(plan.folded, config.denoiser.layers)
    expected = lowered.shapes(config, len(plan.levels))
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    if shapes != expected:
        raise AssertionError(f"lowering gave {shapes} instead of {expected}")
    parts = {engine_folder.WEIGHTS: tensors}
    if plan.vocoder is not None:
        parts[engine_folder.VOCODER] = dict(plan.vocoder.tensors)
    if plan.content is not None:
        parts[engine_folder.CONTENT] = dict(plan.content.tensors)
    if plan.precision == "bf16":
        for name in denoiser_bf16.ROUNDED:
            tensors[name] = tensors[name].bfloat16()
    rounding = stored.rounding(plan.precision, plan.store)
    if rounding is not None:
        parts = {name: {k: rounding(k, t) for k, t in part.items()} for name, part in parts.items()}
    return plan.then(LoweredPlan, tensors=parts | index.tensors(plan))


def lower(folded: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """[out, in] → [in, out], per-layer matrices stacked, float32."""

    def stack(name: str, count: int) -> dict[str, Tensor]:
        weights = [folded[f"{name}.{i}.weight"].T for i in range(count)]
        biases = [folded[f"{name}.{i}.bias"] for i in range(count)]
        if not count:
            width = folded["input.bias"].shape[0]
            return {f"{name}.weight": torch.zeros(0, width, width), f"{name}.bias": torch.zeros(0, width)}
        return {f"{name}.weight": torch.stack(weights), f"{name}.bias": torch.stack(biases)}

    tensors = {name: value for name, value in folded.items() if name.startswith("condition.")}
    if "condition.units" in tensors:
        tensors["condition.units"] = folded["condition.units"].T
    for name in ("input", "output"):
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = folded[f"{name}.weight"].T, folded[f"{name}.bias"]
    tensors |= stack("conv", layers) | stack("residual", layers - 1)
    tensors["skip.weight"] = torch.cat([folded[f"skip.{i}.weight"].T for i in range(layers)])
    tensors["skip.bias"] = folded["skip.bias"]
    tensors["steps.vectors"] = folded["steps"]
    return {name: value.to(torch.float32).contiguous() for name, value in tensors.items()}
