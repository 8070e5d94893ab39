"""Distribution matching (DMD, Yin et al., arXiv 2311.18828; DMD2, arXiv 2405.14867) in EDM's terms.

With x' = x̂ + σz the scores are s(x') = (D(x', σ) − x')/σ², so the gradient of KL(student ‖ teacher) at x̂ is
E[s_fake − s_real] = E[(D_fake − D_real)/σ²]: descent moves x̂ from regions dense in the student's samples to regions
dense in the teacher's. The normaliser below replaces 1/σ² and gives all levels equal weight.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.config import EdmConfig
from fastsvc.training import diffusion
from fastsvc.training.diffusion import Denoise, wide

EDGE = 0.02  # share of the grid left out at either end, as in DMD2


def levels(count: int, config: EdmConfig, generator: torch.Generator) -> Tensor:
    """[count] levels σ', uniform in σ^(1/ρ) over the grid without its ends."""
    return diffusion.karras_uniform(count, config, generator, EDGE)


def direction(x: Tensor, fake: Tensor, real: Tensor, valid: Tensor) -> Tensor:
    """g = (D_fake − D_real)/mean|x̂ − D_real|, the mean over each sample's valid frames; zero in the padding."""
    size = diffusion.sample_mean((x - real).abs(), valid) + 1e-6
    return torch.where(valid[..., None] > 0, (fake - real) / wide(size), 0)


def matching_loss(x: Tensor, fake: Denoise, real: Denoise, sigma: Tensor, z: Tensor, valid: Tensor) -> Tensor:
    """½ mean‖x̂ − sg(x̂ − g)‖² over the batch's valid values, whose gradient at x̂ is g/n exactly.

    x [B, T, M] is the student's x̂, sigma [B], z noise. Neither network gets a gradient.
    """
    with torch.no_grad():
        noisy = torch.where(valid[..., None] > 0, x, 0) + wide(sigma) * z
        g = direction(x, fake(noisy, sigma), real(noisy, sigma), valid)
    # x̂ − (x̂ − g) would round g to the last digit of x̂.
    return 0.5 * diffusion.batch_mean(((x - x.detach()) + g).square(), valid)


def fake_loss(fake: Denoise, config: EdmConfig, x: Tensor, sigma: Tensor, z: Tensor, valid: Tensor) -> Tensor:
    """(σ⁻² + σd⁻²)‖D_fake(sg x̂ + σz) − sg x̂‖²: plain denoising of the student's own samples.

    σ⁻² + σd⁻² is EDM's λ(σ), so this is the teacher's own objective on other data.
    """
    return diffusion.edm_loss(fake, config, x.detach(), sigma, z, valid)
