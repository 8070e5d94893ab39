"""The variance-preserving chain x_n = α_n x0 + s_n ε of the DDPM checkpoints (Diffusion-SVC, so-vits-svc, DDSP-SVC 3).

Levels n go from 0 (nearly clean) to timesteps − 1 (nearly noise) and need not be integers: between two integers log α
is linear, as in the DPM-Solver code of these projects (Lu et al., arXiv 2211.01095).
"""

from functools import lru_cache

import torch
from torch import Tensor

from fastsvc.config import DdpmConfig


@lru_cache(maxsize=8)
def _log_alphas(config: DdpmConfig) -> Tensor:
    """log α_n [timesteps], float64: half of Σ log(1 − β)."""
    betas = torch.linspace(config.beta_low, config.beta_high, config.timesteps, dtype=torch.float64)
    return 0.5 * torch.log1p(-betas).cumsum(0)


def log_alpha(config: DdpmConfig, level: Tensor) -> Tensor:
    """log α at levels of any shape, float64."""
    table = _log_alphas(config).to(level.device)
    level = level.double().clamp(0, config.timesteps - 1)
    below = level.floor().long().clamp(max=config.timesteps - 2)
    return torch.lerp(table[below], table[below + 1], level - below)


def alpha_and_spread(config: DdpmConfig, level: Tensor) -> tuple[Tensor, Tensor]:
    """α and s = √(1 − α²) at levels of any shape, float64."""
    log = log_alpha(config, level)
    return log.exp(), (-torch.expm1(2 * log)).sqrt()


def coefficients(config: DdpmConfig, level: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in and c_noise with which x0 = c_skip x + c_out ε(c_in x, c_noise): (x − s ε)/α."""
    alpha, spread = (part.to(level.dtype) for part in alpha_and_spread(config, level))
    return 1 / alpha, -spread / alpha, torch.ones_like(alpha), level
