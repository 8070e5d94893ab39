"""EDM preconditioning with the boundary offset of consistency models, exactly as CoMoSVC computes it."""

from torch import Tensor

from fastsvc.config import EdmConfig


def coefficients(config: EdmConfig, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in and c_noise at sigma (any shape).

    c_skip = s² / ((σ−σmin)² + s²), c_out = (σ−σmin) s / √(σ²+s²), c_in = 1 / √(σ²+s²), c_noise = ln σ / 4:
    c_skip and c_out as in Consistency Models (arXiv 2303.01469), so that D(x, σmin) = x; c_in as in EDM.
    Without ``skip_offset`` c_skip has σ instead of σ−σmin; without ``out_offset`` c_out has.
    """
    s2 = config.sigma_data**2
    above = sigma - config.sigma_min
    c_skip = s2 / ((above if config.skip_offset else sigma) ** 2 + s2)
    c_out = (above if config.out_offset else sigma) * config.sigma_data / (sigma**2 + s2).sqrt()
    c_in = 1 / (s2 + sigma**2).sqrt()
    c_noise = sigma.log() / 4 * config.noise_scale
    return c_skip, c_out, c_in, c_noise
