"""Noise levels: the two Karras grids that CoMoSVC uses (como.py).

In float32 as there: the first Euler level is then 79.99998 instead of 80, and an Euler step from σ = 80 loses five
digits to cancellation, so the checkpoints' own results are only met with the same rounding.
"""

import torch
from torch import Tensor

from fastsvc.config import EdmConfig
from fastsvc.errors import ConfigError


def karras(low: float, high: float, points: int, rho: float) -> Tensor:
    """``points`` levels from high down to low, evenly spaced in σ^(1/ρ) (EDM, arXiv 2206.00364, eq. 5)."""
    if points < 1:
        raise ConfigError(f"{points} steps were asked for", "ask for at least 1")
    place = torch.arange(points, dtype=torch.float32) / max(points - 1, 1)
    return (high ** (1 / rho) + place * (low ** (1 / rho) - high ** (1 / rho))) ** rho


def consistency_sigmas(config: EdmConfig, steps: int) -> Tensor:
    """[steps] levels of the consistency sampler: a grid of steps + 1 points without its last, σmin."""
    if steps == 1:
        return torch.tensor([config.sigma_max])
    return karras(config.sigma_min, config.sigma_max, steps + 1, config.rho)[:-1]


def euler_sigmas(config: EdmConfig, steps: int) -> Tensor:
    """[steps + 1] levels of the Euler sampler: i / steps over the grid, without its last point σmin, then 0.

    With euler_to_min σmin stays, so that there are [steps + 2].
    """
    karras(config.sigma_min, config.sigma_max, steps, config.rho)  # checks steps
    levels = karras(config.sigma_min, config.sigma_max, steps + 1, config.rho)
    levels = levels if config.euler_to_min else levels[:-1]
    return torch.cat([levels, levels.new_zeros(1)])
