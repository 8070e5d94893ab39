"""Random numbers of a ``torch.Generator``, on the CPU."""

from __future__ import annotations

import math

import torch


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Uniform in [low, high), float32, on the CPU."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def log_uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Uniform in the logarithm."""
    return torch.exp(uniform(generator, math.log(low), math.log(high), *shape))


def often(generator: torch.Generator, probability: float, *shape: int) -> torch.Tensor:
    """True with ``probability``."""
    return torch.rand(shape, generator=generator) < probability
