"""How an engine's weights are rounded where it stores them in fewer bits: by its precision and its store."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.model import packed

STORED_HALF = ("units", "weight")  # tensors rounded by fp16 storage; biases and step vectors are small and stay float32
HALF_MAX = 6e4
Rounding = Callable[[str, Tensor], Tensor]  # (name, tensor) → the same tensor where it is stored as it is


def half(name: str, tensor: Tensor) -> Tensor:
    """float16 where rounding is harmless and the values fit, float32 elsewhere."""
    rounded = tensor.dim() >= 2 and tensor.numel() > 0 and name.endswith(STORED_HALF)
    return tensor.to(torch.float16) if rounded and float(tensor.abs().max()) < HALF_MAX else tensor


def rounding(precision: str, store: str) -> Rounding | None:
    """(name, tensor) → the tensor as it will be read from the engine's file; None where all are stored as they are,
    and for bf16, which only the denoiser's products are stored in."""
    halves = precision == "fp16"
    if store != "int8":
        return half if halves else None

    def rounded(name: str, tensor: Tensor) -> Tensor:
        if packed.is_packed(name, tensor):
            return packed.rounded(tensor)
        return half(name, tensor) if halves else tensor

    return rounded


ROUNDINGS: tuple[Rounding, ...] = tuple(
    each for each in (rounding("fp16", "float"), rounding("fp32", "int8"), rounding("fp16", "int8")) if each
)
