"""The diffusion process of an acoustic model, EDM or DDPM: four coefficients and one denoiser.

``level`` is σ for EDM models and the level of the chain for DDPM models. All code that samples, compiles or runs a
network uses only D(x, level, cond) = c_skip x + c_out F(c_in x, c_noise, cond).
"""

import torch
from torch import Tensor

from fastsvc.config import AcousticConfig
from fastsvc.model import ddpm, edm


def coefficients(config: AcousticConfig, level: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in and c_noise at levels of any shape."""
    return edm.coefficients(config.edm, level) if config.ddpm is None else ddpm.coefficients(config.ddpm, level)


def denoise(net, config: AcousticConfig, x: Tensor, level: Tensor, cond: Tensor, valid: Tensor | None = None) -> Tensor:
    """D(x, level, cond): x [B, T, M], level [B], cond [B, T, H], valid [B, T] or None → [B, T, M]."""
    c_skip, c_out, c_in, c_noise = coefficients(config, level.to(torch.float32))
    inside = net(c_in[:, None, None] * x, c_noise, cond, valid)
    return c_skip[:, None, None] * x + c_out[:, None, None] * inside
