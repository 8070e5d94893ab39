"""The EDM objective and its samplers on a mixture of Gaussians, whose perfect denoiser is known."""

import pytest
import torch
from teachers import EDM, MEANS, drawn, perfect

from fastsvc.model import sampler, schedule
from fastsvc.training import diffusion


def cdf_distance(a, b) -> float:
    """Kolmogorov's: the largest gap between two empirical distributions."""
    points = torch.cat([a, b]).sort().values
    return float(
        (
            torch.searchsorted(a.sort().values, points, right=True) / len(a)
            - torch.searchsorted(b.sort().values, points, right=True) / len(b)
        )
        .abs()
        .max()
    )


def test_samplers_reach_the_mixture_with_its_perfect_denoiser():
    real = drawn()

    def noise(_):
        return torch.randn(4000, dtype=torch.float64)

    def distance(sampled):
        return cdf_distance(sampled, real)

    floor = distance(drawn())
    heun40 = distance(sampler.heun(perfect, schedule.euler_sigmas(EDM, 40), noise))
    euler4 = distance(sampler.euler(perfect, schedule.euler_sigmas(EDM, 4), noise))
    assert floor < 0.05 and heun40 < 0.06
    assert euler4 > 2 * heun40
    once = sampler.consistency(perfect, schedule.consistency_sigmas(EDM, 1), noise, EDM.sigma_min)
    assert once.std() < 0.02 and abs(once.mean() - MEANS.mean()) < 0.02  # one step gives the posterior mean only


def test_heun_is_of_second_order_and_euler_of_first():
    start = torch.linspace(-2, 2, 41, dtype=torch.float64) * EDM.sigma_max

    def end(solve, steps):
        return solve(perfect, schedule.euler_sigmas(EDM, steps), lambda _: start / EDM.sigma_max)

    exact = end(sampler.heun, 1500)
    errors = {s: [(end(s, n) - exact).abs().median() for n in (60, 120)] for s in (sampler.euler, sampler.heun)}
    ratio = {solve: float(a / b) for solve, (a, b) in errors.items()}
    assert 1.6 < ratio[sampler.euler] < 2.6 and ratio[sampler.heun] > 3


def test_the_loss_of_the_perfect_denoiser_is_the_least():
    x0 = drawn(3000).reshape(3000, 1, 1)
    z, sigma = torch.randn_like(x0), torch.full((3000,), 0.4, dtype=torch.float64)
    valid = torch.ones(3000, 1)

    def loss(scale, shift):
        def denoise(x, sigma):
            return scale * perfect(x[..., 0, 0], sigma)[..., None, None] + shift

        return float(diffusion.edm_loss(denoise, EDM, x0, sigma, z, valid))

    best = loss(1, 0)
    assert all(loss(*change) > best for change in ((0.9, 0), (1.1, 0), (1, 0.05), (1, -0.05)))
    posterior = x0[:, 0, 0] - perfect(x0[:, 0, 0] + 0.4 * z[:, 0, 0], sigma)
    weight = (0.4**2 + 0.5**2) / (0.4 * 0.5) ** 2
    assert best == pytest.approx(weight * float((posterior**2).mean()), rel=1e-5)
