"""The diffusion process that a denoiser was trained on."""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc.config.limits import STEPS
from fastsvc.config.plain import check, within
from fastsvc.config.shown import shown

EDM_SAMPLERS, DDPM_SAMPLERS = ("consistency", "euler", "heun"), ("dpm++", "unipc", "ddim")


@dataclass(frozen=True)
class EdmConfig:
    """EDM preconditioning (Karras et al. 2022, arXiv 2206.00364) with the boundary offset sigma_min."""

    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    noise_scale: float = 1.0  # c_noise = noise_scale * ln(sigma) / 4; CoMoSVC uses 1
    skip_offset: bool = True  # c_skip from σ − σmin, as in consistency models; Amphion takes σ
    out_offset: bool = True  # c_out likewise; with neither it is EDM's own, as in CoMoSVC before 2023-12-06
    noise_mean: str = "zero"  # "condition": noise is drawn about cond, as in Grad-TTS (Amphion)
    euler_to_min: bool = False  # the Euler sampler steps to σmin before 0 (Amphion)
    few_steps: tuple[
        tuple[float, ...], ...
    ] = ()  # noise levels of each schedule that a few-step student was trained on

    def __post_init__(self):
        within("edm", self, sigma_data=(1e-4, 1e4), sigma_min=(1e-6, 1e4), sigma_max=(1e-6, 1e4), rho=(0.1, 100))
        within("edm", self, noise_scale=(-1e4, 1e4))
        check(0 < self.sigma_min < self.sigma_max, "edm: 0 < sigma_min < sigma_max does not hold")
        check(
            self.noise_mean in ("zero", "condition"),
            f"edm: unknown noise_mean {self.noise_mean!r}",
            "use zero or condition",
        )
        most_steps = STEPS[1]
        check(
            max(map(len, self.few_steps), default=0) <= most_steps,
            f"edm: few_steps has a schedule of over {most_steps} steps",
        )
        check(len(self.few_steps) <= most_steps, f"edm: few_steps has over {most_steps} schedules")
        for levels in self.few_steps:
            falling = all(a > b for a, b in zip(levels, (*levels[1:], self.sigma_min)))
            check(
                len(levels) > 0 and levels[0] == self.sigma_max and falling,
                f"edm: few_steps {shown(list(levels))} do not fall from {self.sigma_max:g} to above sigma_min",
            )
        counts = [len(levels) for levels in self.few_steps]
        check(len(set(counts)) == len(counts), f"edm: few_steps has two schedules of one length ({shown(counts)})")


@dataclass(frozen=True)
class DdpmConfig:
    """Noise prediction on a discrete chain (Ho et al. 2020, arXiv 2006.11239) with betas rising linearly.

    ``trained_steps``: the length of the chain's first part, on which the network was trained. Below ``timesteps`` the
    network can only refine a given mel (shallow diffusion): `k_step_max` of Diffusion-SVC and so-vits-svc.
    """

    timesteps: int = 1000
    beta_low: float = 1e-4
    beta_high: float = 0.02
    trained_steps: int = 1000

    def __post_init__(self):
        within("ddpm", self, timesteps=(2, 100_000))
        check(0 < self.beta_low <= self.beta_high < 1, "ddpm: 0 < beta_low <= beta_high < 1 does not hold")
        check(1 <= self.trained_steps <= self.timesteps, "ddpm: trained_steps must be from 1 to timesteps")
