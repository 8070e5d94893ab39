"""Learning rate, sampling EMA, device, precision: the parts of a step that do not depend on the task."""

from __future__ import annotations

import copy
import math
import re

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fastsvc import arguments
from fastsvc.errors import ConfigError
from fastsvc.training.settings import OptimSettings


def learning_rate(settings: OptimSettings, step: int, fraction: float) -> float:
    """The rate of a step (from 0) at a used ``fraction`` of the budget; a pure function without state to save."""
    warm = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    if settings.schedule == "constant":
        return settings.lr * warm
    if settings.schedule == "step":
        return settings.lr * warm * 0.5 ** (step // settings.half_every)
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
    return warm * (settings.final_lr + (settings.lr - settings.final_lr) * fall)


def adamw(parameters: list[nn.Parameter], settings: OptimSettings) -> torch.optim.AdamW:
    """AdamW in its fused form; biases and other vectors are not decayed."""
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]],
        lr=settings.lr,
        betas=tuple(settings.betas),
        weight_decay=settings.weight_decay,
        fused=True,
    )


class Ema:
    """A running mean of a model's weights, for sampling: θ̄ ← d θ̄ + (1 − d) θ, with d rising to ``decay``."""

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        # At first the mean must forget the random start: d = (1 + n) / (10 + n), as in TensorFlow's EMA.
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        get_ema_multi_avg_fn(decay)(list(self.model.parameters()), list(model.parameters()), None)
        for mean, current in zip(self.model.buffers(), model.buffers()):
            mean.copy_(current)
        self.updates += 1


def device_of(name: str) -> torch.device:
    """auto, cpu, cuda or cuda:N → an available device. Raises ConfigError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    number = re.fullmatch(r"cuda(?::(\d{1,3}))?", name)
    if name != "cpu" and number is None:
        raise ConfigError(f"unknown device {arguments.shown(name)}", "use auto, cpu, cuda or cuda:N")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {name} was asked for, but PyTorch sees no GPU", "use the device auto or cpu")
    if number is not None and int(number[1] or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {name} does not exist: PyTorch sees {torch.cuda.device_count()} GPUs", "choose another device"
        )
    return torch.device(name)


def precision_of(name: str, device: torch.device) -> torch.dtype:
    """auto, fp32, bf16, fp16 → the dtype of autocast. Weights stay in float32. Raises ConfigError."""
    if name == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        # Without matrix units for bf16 a CPU emulates it, slower than float32.
        fast = (
            getattr(torch.cpu, "_is_amx_tile_supported", bool)()
            or getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
        )
        return torch.bfloat16 if fast else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise ConfigError("precision fp16 needs a GPU", "use auto, fp32 or bf16")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
