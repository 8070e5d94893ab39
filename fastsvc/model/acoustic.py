"""The acoustic model: condition, denoiser, preconditioning and mel normalisation under one roof."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fastsvc.config import AcousticConfig
from fastsvc.model import process, sampler, schedule
from fastsvc.model.amphion import AmphionCondition
from fastsvc.model.condition import Condition
from fastsvc.model.wavenet import WaveNet


class AcousticModel(nn.Module):
    """Features → log-mel. Parameters: ``condition.*`` (Condition or AmphionCondition) and ``denoiser.*`` (WaveNet)."""

    def __init__(self, config: AcousticConfig):
        super().__init__()
        self.config = config
        if config.amphion is None:
            self.condition = Condition(config.condition, config.mel, config.norm)
        else:
            self.condition = AmphionCondition(config.amphion, config.condition)
        self.denoiser = WaveNet(config.denoiser)
        low, high = (torch.tensor(v, dtype=torch.float32) for v in (config.norm.low, config.norm.high))
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)

    def normalise(self, mel: Tensor) -> Tensor:
        """Log-mel [..., M] → the space of the diffusion, about −1 … 1, not clamped."""
        return (mel - self.low) / (self.high - self.low) * 2 - 1

    def denormalise(self, x: Tensor) -> Tensor:
        """The inverse of :meth:`normalise`."""
        return (x + 1) / 2 * (self.high - self.low) + self.low

    def denoise(self, x: Tensor, sigma, cond: Tensor, valid: Tensor | None = None) -> Tensor:
        """D(x, σ, cond): x [B, T, M] normalised, sigma (DDPM: the level) a number or [B], cond [B, T, H],
        valid [B, T] → [B, T, M]."""
        sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x.device).expand(len(x))
        return process.denoise(self.denoiser, self.config, x, sigma, cond, valid)

    @torch.no_grad()
    def sample(
        self,
        cond: Tensor,
        steps: int,
        noise: Callable[[int], Tensor],
        method: str | None = None,
        mel: Tensor | None = None,
        depth: int | None = None,
    ) -> Tensor:
        """cond [B, T, H], noise(step) → [B, T, M] → log-mel [B, T, M].

        method: one of sampler.methods(config), by default its first. DDPM models also refine a given log-mel ``mel``
        [B, T, M], from level ``depth`` of the chain on.
        """
        method = method or sampler.methods(self.config)[0]
        levels = schedule.levels(self.config, method, steps, depth)

        def denoise(x, sigma):
            return self.denoise(x, sigma, cond)

        x0 = None if mel is None else self.normalise(mel)
        return self.denormalise(sampler.sample(self.config, method, denoise, levels, noise, cond, x0))
