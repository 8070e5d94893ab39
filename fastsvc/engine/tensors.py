"""Arrays that callers hand in."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.errors import ConfigError


def checked(name: str, values, dtype: torch.dtype | None = None) -> Tensor:
    """An array, list or tensor of numbers as a tensor. Raises ConfigError: not numbers, or not all of them finite."""
    try:
        tensor = torch.as_tensor(values, dtype=dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{name} is not an array of numbers: {error}", "use a tensor or an array") from error
    if tensor.is_complex() or not bool(torch.isfinite(tensor).all()):
        raise ConfigError(f"{name} holds values that are not finite numbers", "replace these values")
    return tensor
