"""How tensors are stored in float16: by engines that are built so."""

from __future__ import annotations

import torch
from torch import Tensor

STORED_HALF = ("units", "weight")  # tensors rounded by fp16 storage; biases and step vectors are small and stay float32
HALF_MAX = 6e4


def half(name: str, tensor: Tensor) -> Tensor:
    """float16 where rounding is harmless and the values fit, float32 elsewhere."""
    rounded = tensor.dim() >= 2 and tensor.numel() > 0 and name.endswith(STORED_HALF)
    return tensor.to(torch.float16) if rounded and float(tensor.abs().max()) < HALF_MAX else tensor
