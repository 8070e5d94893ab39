"""EDM preconditioning with the boundary offset of consistency models, exactly as CoMoSVC computes it."""

import torch
from torch import Tensor

from fastsvc.config import EdmConfig


def coefficients(config: EdmConfig, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in and c_noise at sigma (any shape).

    c_skip = s² / ((σ−σmin)² + s²), c_out = (σ−σmin) s / √(σ²+s²), c_in = 1 / √(σ²+s²), c_noise = ln σ / 4:
    Without skip_offset c_skip = s² / (σ² + s²).
    c_skip and c_out as in Consistency Models (arXiv 2303.01469), so that D(x, σmin) = x; c_in as in EDM.
    """
    s2 = config.sigma_data**2
    above = sigma - config.sigma_min
    c_skip = s2 / ((above if config.skip_offset else sigma) ** 2 + s2)
    c_out = above * config.sigma_data / (sigma**2 + s2).sqrt()
    c_in = 1 / (s2 + sigma**2).sqrt()
    c_noise = sigma.log() / 4 * config.noise_scale
    return c_skip, c_out, c_in, c_noise


def denoise(net, config: EdmConfig, x: Tensor, sigma: Tensor, cond: Tensor, valid: Tensor | None = None) -> Tensor:
    """D(x, σ, cond) = c_skip x + c_out F(c_in x, c_noise, cond); x [B, T, M], sigma [B], cond [B, T, H]."""
    c_skip, c_out, c_in, c_noise = coefficients(config, sigma.to(torch.float32))
    inside = net(c_in[:, None, None] * x, c_noise, cond, valid)
    return c_skip[:, None, None] * x + c_out[:, None, None] * inside
