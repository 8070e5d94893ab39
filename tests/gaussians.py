"""Gaussians whose perfect denoisers are known."""

import torch

from fastsvc.config import EdmConfig
from fastsvc.training import diffusion

EDM = EdmConfig(sigma_data=0.5, sigma_min=0.002, sigma_max=20.0)
SPREAD = 0.3


def gaussian(mean, spread=SPREAD):
    """The perfect denoiser of N(mean, spread²): (s² x + σ² m)/(s² + σ²)."""

    def denoise(x, sigma):
        sigma = diffusion.wide(sigma)
        return (spread**2 * x + sigma**2 * mean) / (spread**2 + sigma**2)

    return denoise


def drawn(count=256, frames=1, mean=0.0):
    x = mean + SPREAD * torch.randn(count, frames, 1, dtype=torch.float64)
    return x, torch.randn_like(x), torch.ones(count, frames, dtype=torch.float64)
