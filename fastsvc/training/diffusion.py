"""Shared by teacher and student: noise levels, masked means, losses in closed form.

Everywhere x is normalised mel [B, T, M], sigma [B], valid [B, T] (1 inside the recording, 0 in the padding).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.config import EdmConfig
from fastsvc.model import schedule

Denoise = Callable[[Tensor, Tensor], Tensor]  # D(x [B, T, M], sigma [B]) -> x0 [B, T, M]


def wide(sigma: Tensor) -> Tensor:
    """[B] → [B, 1, 1]."""
    return sigma[:, None, None]


def sample_mean(value: Tensor, valid: Tensor) -> Tensor:
    """value [B, T, M] → its mean over the valid frames of each sample [B]; the padding may hold NaN."""
    inside = torch.where(valid[..., None] > 0, value, 0).sum(dim=(1, 2))
    return inside / (valid.sum(dim=1) * value.shape[2]).clamp(min=1)


def batch_mean(value: Tensor, valid: Tensor) -> Tensor:
    """value [B, T, M] → its mean over all valid frames of the batch."""
    inside = torch.where(valid[..., None] > 0, value, 0).sum()
    return inside / (valid.sum() * value.shape[2]).clamp(min=1)


def lognormal(count: int, mean: float, std: float, config: EdmConfig, generator: torch.Generator) -> Tensor:
    """[count] levels with ln σ ~ N(mean, std²), kept within σmin … σmax."""
    normal = torch.randn(count, generator=generator, device=generator.device)
    return (mean + std * normal).exp().clamp(config.sigma_min, config.sigma_max)


def karras_uniform(count: int, config: EdmConfig, generator: torch.Generator, edge: float = 0.0) -> Tensor:
    """[count] levels, uniform in σ^(1/ρ) as the samplers' levels are; a share ``edge`` is left out at either end."""
    position = edge + (1 - 2 * edge) * torch.rand(count, generator=generator, device=generator.device)
    low, high = config.sigma_min ** (1 / config.rho), config.sigma_max ** (1 / config.rho)
    return (low + position * (high - low)) ** config.rho


def grid(config: EdmConfig, points: int) -> Tensor:
    """[points] rising levels, σmin … σmax, evenly spaced in σ^(1/ρ)."""
    levels = schedule.karras(config.sigma_min, config.sigma_max, points, config.rho).flip(0)
    levels[0], levels[-1] = config.sigma_min, config.sigma_max  # exactly: D(x, σmin) = x must hold
    return levels.float()


def mixed_sigmas(
    count: int, config: EdmConfig, generator: torch.Generator, mean=-1.2, std=1.2, share: float = 0.2
) -> Tensor:
    """EDM's lognormal levels with a ``share`` of Karras-uniform ones.

    The lognormal alone puts 0.2 % above σ = 10, but one-step students start at σmax.
    """
    central = lognormal(count, mean, std, config, generator)
    spread = karras_uniform(count, config, generator)
    pick = torch.rand(count, generator=generator, device=generator.device) < share
    return torch.where(pick, spread, central)


def edm_loss(denoise: Denoise, config: EdmConfig, x0: Tensor, sigma: Tensor, z: Tensor, valid: Tensor) -> Tensor:
    """λ(σ)‖D(x0 + σz, σ) − x0‖², λ = (σ² + σd²)/(σσd)² (EDM, arXiv 2206.00364, eq. 5–8), mean over valid frames."""
    weight = (sigma**2 + config.sigma_data**2) / (sigma * config.sigma_data) ** 2
    x0 = torch.where(valid[..., None] > 0, x0, 0)
    error = denoise(x0 + wide(sigma) * z, sigma).float() - x0
    return batch_mean(wide(weight) * error.square(), valid)


def solver_step(
    denoise: Denoise, x: Tensor, sigma: Tensor, after: Tensor, method: str = "heun", sigma_min: float = 0.0
) -> Tensor:
    """One step of the probability-flow ODE dx/dσ = (x − D)/σ from sigma [B] to after [B], Euler or Heun.

    A step to ``sigma_min`` is Euler's: there D(x) = x by construction, so D gives no slope.
    """
    slope = (x - denoise(x, sigma)) / wide(sigma)
    euler = x + wide(after - sigma) * slope
    if method == "euler":
        return euler
    slope_after = (euler - denoise(euler, after)) / wide(after)
    heun = x + wide(after - sigma) * (slope + slope_after) / 2
    return torch.where(wide(after) > sigma_min, heun, euler)


def guided(towards_singer: Denoise, without_singer: Denoise, weight: float) -> Denoise:
    """D(∅) + w (D(singer) − D(∅)): classifier-free guidance (arXiv 2207.12598) towards the singer; 1: none."""
    if weight == 1:
        return towards_singer

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        base = without_singer(x, sigma)
        return base + weight * (towards_singer(x, sigma) - base)

    return denoise


def distance(a: Tensor, b: Tensor, valid: Tensor, kind: str) -> Tensor:
    """[B]: ``l2`` the mean square, or ``huber`` √(mean square + c²) − c with c = 0.00054 (iCT, arXiv 2310.14189, with
    ‖·‖² and c² divided by the number of values, so that it does not depend on the length)."""
    square = sample_mean((a.float() - b.float()).square(), valid)
    return square if kind == "l2" else (square + 0.00054**2).sqrt() - 0.00054


def ect_lower_level(sigma: Tensor, stage: int, config: EdmConfig) -> Tensor:
    """r(t) = max(ε, t (1 − 2^−a (1 + 8 sigmoid(−t)))) (Easy Consistency Tuning, arXiv 2406.14548)."""
    shrink = 1 - 2.0**-stage * (1 + 8 * torch.sigmoid(-sigma))
    return (sigma * shrink).clamp(min=config.sigma_min)


def mel_l1(a: Tensor, b: Tensor, valid: Tensor) -> float:
    """Mean absolute difference over valid frames, in the mel's own units."""
    return float(batch_mean((a - b).abs(), valid))


def fixed_noise(like: Tensor, seed: int) -> Callable[[int], Tensor]:
    """noise(step) for the samplers, from ``seed`` alone: equal for all compared models."""

    def noise(step: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 1000 + step)
        return torch.randn(like.shape, generator=generator).to(like.device)

    return noise
