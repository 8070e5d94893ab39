"""The diffusion process that a denoiser was trained on."""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc.config.plain import check


@dataclass(frozen=True)
class EdmConfig:
    """EDM preconditioning (Karras et al. 2022, arXiv 2206.00364) with the boundary offset sigma_min."""

    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    noise_scale: float = 1.0  # c_noise = noise_scale * ln(sigma) / 4; CoMoSVC uses 1
    skip_offset: bool = True  # c_skip from σ − σmin, as in consistency models; Amphion takes σ
    noise_mean: str = "zero"  # "condition": noise is drawn about cond, as in Grad-TTS (Amphion)
    euler_to_min: bool = False  # the Euler sampler steps to σmin before 0 (Amphion)

    def __post_init__(self):
        check(0 < self.sigma_min < self.sigma_max, "edm: 0 < sigma_min < sigma_max does not hold")
        check(self.sigma_data > 0 and self.rho > 0, "edm: sigma_data and rho must be positive")
        check(
            self.noise_mean in ("zero", "condition"),
            f"edm: unknown noise_mean {self.noise_mean!r}",
            "use zero or condition",
        )
