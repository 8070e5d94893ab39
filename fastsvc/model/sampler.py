"""Samplers of EDM models over any denoiser ``denoise(x, sigma) -> x0``; the caller supplies the noise.

``noise(step)`` returns standard normal draws of x's shape; step counts evaluations from 0.
:func:`sample` calls these samplers and the solvers of DDPM models.
"""

import itertools
from collections.abc import Callable

from torch import Tensor

from fastsvc.config import DDPM_SAMPLERS, EDM_SAMPLERS, AcousticConfig
from fastsvc.model import solver

Denoise = Callable[[Tensor, float], Tensor]
Noise = Callable[[int], Tensor]


def about(mean: Tensor, noise: Noise) -> Noise:
    """The same draws about ``mean`` instead of 0."""
    return lambda step: noise(step) + mean


def consistency(denoise: Denoise, sigmas: Tensor, noise: Noise, sigma_min: float) -> Tensor:
    """Multistep consistency sampling (Song et al., arXiv 2303.01469, algorithm 1): denoise, renoise, denoise …"""
    levels = [float(s) for s in sigmas]
    x = denoise(noise(0) * levels[0], levels[0])
    for step, sigma in enumerate(levels[1:], start=1):
        x = denoise(x + (sigma**2 - sigma_min**2) ** 0.5 * noise(step), sigma)
    return x


def euler(denoise: Denoise, sigmas: Tensor, noise: Noise) -> Tensor:
    """Euler steps along dx/dσ = (x − D)/σ; sigmas end in 0 (CoMoSVC edm_sampler, S_churn = 0)."""
    levels = [float(s) for s in sigmas]
    x = noise(0) * levels[0]
    for sigma, after in itertools.pairwise(levels):
        slope = (x - denoise(x, sigma)) / sigma
        x = x + (after - sigma) * slope
    return x


def heun(denoise: Denoise, sigmas: Tensor, noise: Noise) -> Tensor:
    """Heun's second-order steps (EDM, arXiv 2206.00364, algorithm 1); the last step, to 0, is an Euler step."""
    levels = [float(s) for s in sigmas]
    x = noise(0) * levels[0]
    for sigma, after in itertools.pairwise(levels):
        slope = (x - denoise(x, sigma)) / sigma
        ahead = x + (after - sigma) * slope
        if after > 0:
            slope = (slope + (ahead - denoise(ahead, after)) / after) / 2
            ahead = x + (after - sigma) * slope
        x = ahead
    return x


def methods(config: AcousticConfig) -> tuple[str, ...]:
    """The samplers for an acoustic model, its default first."""
    return DDPM_SAMPLERS if config.ddpm else EDM_SAMPLERS


def check_method(config: AcousticConfig, method: str) -> None:
    """Raises ValueError for a sampler that does not fit the acoustic model."""
    if method not in methods(config):
        raise ValueError(f"the sampler {method!r} does not fit the model")


def sample(
    config: AcousticConfig,
    method: str,
    denoise: Denoise,
    levels: list[float],
    noise: Noise,
    cond: Tensor,
    x0: Tensor | None = None,
) -> Tensor:
    """A normalised mel by ``method`` over ``levels``; DDPM models may begin at x0, a normalised mel, noised.

    ``cond``: the denoiser's condition, for models whose noise is drawn about it (``edm.noise_mean``).
    """
    if method in solver.SOLVERS:
        points = solver.chain(config.ddpm, levels)
        return solver.SOLVERS[method](denoise, points, solver.start(points[0], noise(0), x0))
    if config.edm.noise_mean == "condition":
        noise = about(cond, noise)
    if method == "consistency":
        return consistency(denoise, levels, noise, config.edm.sigma_min)
    return {"euler": euler, "heun": heun}[method](denoise, levels, noise)
