"""Distribution matching on Gaussians whose denoisers are known: its gradient, its levels, its alarms."""

import itertools

import pytest
import torch
from gaussians import EDM, SPREAD, drawn, gaussian
from teachers import random_model
from torch import nn

from fastsvc.training import diffusion, distribution
from fastsvc.training.alarms import fake_lag, spread

# ---- the gradient


def test_a_fake_score_equal_to_the_real_one_asks_for_nothing():
    model = random_model()
    cond, valid, x = torch.randn(3, 9, 8), torch.ones(3, 9), torch.randn(3, 9, 5, requires_grad=True)

    def denoise(x, s):
        return model.denoise(x, s, cond, valid)

    sigma = distribution.levels(3, EDM, torch.Generator().manual_seed(0))
    loss = distribution.matching_loss(x, denoise, denoise, sigma, torch.randn(3, 9, 5), valid)
    loss.backward()
    assert float(loss.detach()) == 0 and not x.grad.any()


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.5, 2.0, 15.0])
def test_the_direction_is_the_difference_of_scores(sigma):
    """(D_fake − D_real)/σ² = s_fake − s_real = m/(s² + σ²), whatever the sample; KL's own gradient in m."""
    mean = 0.4
    x, z, valid = drawn(mean=mean)
    level = torch.full((len(x),), sigma, dtype=torch.float64)
    noisy = x + sigma * z
    fake, real = gaussian(mean)(noisy, level), gaussian(0.0)(noisy, level)
    g = distribution.direction(x, fake, real, valid) * ((x - real).abs().mean((1, 2)) + 1e-6)[:, None, None]
    torch.testing.assert_close(fake - real, torch.full_like(x, sigma**2 * mean / (SPREAD**2 + sigma**2)))
    score = -(noisy - mean) / (SPREAD**2 + sigma**2) + noisy / (SPREAD**2 + sigma**2)
    torch.testing.assert_close(g / sigma**2, score, rtol=1e-4, atol=1e-4)
    shifted = torch.tensor(mean, dtype=torch.float64, requires_grad=True)
    width = (SPREAD**2 + sigma**2) ** 0.5
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(shifted, width), torch.distributions.Normal(0.0, width)
    )
    kl.backward()
    torch.testing.assert_close(g.mean() / sigma**2, shifted.grad, rtol=1e-4, atol=1e-4)


def descend(sign: float, steps: int = 50) -> list[float]:
    """The mean of N(μ, s²) moved by the loss's own gradient, with perfect scores at every step."""
    mean, path = 0.8, []
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x, z, valid = drawn(32, 32, mean)
        x.requires_grad_(True)
        sigma = distribution.levels(len(x), EDM, generator).double()
        distribution.matching_loss(x, gaussian(mean), gaussian(0.0), sigma, z, valid).backward()
        mean = mean - sign * 0.1 * float(x.grad.sum())  # dμ of the mean loss
        path.append(mean)
    return path


def test_descent_moves_the_student_to_the_teacher_and_the_other_sign_away():
    towards, away = descend(1.0), descend(-1.0)
    assert abs(towards[-1]) < 0.05 and all(abs(b) < abs(a) + 0.02 for a, b in itertools.pairwise(towards))
    assert away[-1] > 2.0


@pytest.mark.slow
def test_student_and_fake_score_in_turns_find_the_teachers_distribution():
    """Both learnt: mean and deviation of the student, and those in the fake score's perfect form."""
    goal = 0.3, 0.25
    student = nn.Parameter(torch.tensor([-0.5, 0.8]))  # mean, deviation
    fake = nn.Parameter(torch.tensor([0.3, -1.4]))  # mean, log deviation, where the teacher is
    optimizers = torch.optim.Adam([student], lr=0.01), torch.optim.Adam([fake], lr=0.05)
    generator = torch.Generator().manual_seed(0)
    valid = torch.ones(256, 1)

    def made():
        return student[0] + student[1] * torch.randn(256, 1, 1)

    def fake_denoiser(x, sigma):
        return gaussian(fake[0], fake[1].exp())(x, sigma)

    for _ in range(250):
        for _ in range(5):
            optimizers[1].zero_grad()
            sigma = distribution.levels(256, EDM, generator)
            distribution.fake_loss(fake_denoiser, EDM, made(), sigma, torch.randn(256, 1, 1), valid).backward()
            optimizers[1].step()
        assert student.grad is None or not student.grad.any()  # the fake score's turn moves nobody else
        x = made()
        sigma = distribution.levels(256, EDM, generator)
        loss = distribution.matching_loss(x, fake_denoiser, gaussian(*goal), sigma, torch.randn(256, 1, 1), valid)
        optimizers[0].zero_grad()
        fake.grad = None
        loss.backward()
        assert fake.grad is None
        optimizers[0].step()
        student.grad = None
    assert float(student[0].detach()) == pytest.approx(goal[0], abs=0.06)
    assert abs(float(student[1].detach())) == pytest.approx(goal[1], abs=0.06)


def test_the_gradient_at_x_is_g_over_n_to_the_last_digit():
    x, z = torch.randn(4, 7, 5, requires_grad=True), torch.randn(4, 7, 5)
    valid = (torch.arange(7)[None] < torch.tensor([[7], [5], [1], [6]])).float()
    sigma = torch.tensor([0.05, 0.4, 2.0, 9.0])
    distribution.matching_loss(x, gaussian(1e-4), gaussian(0.0), sigma, z, valid).backward()
    with torch.no_grad():
        noisy = torch.where(valid[..., None] > 0, x, 0) + diffusion.wide(sigma) * z
        g = distribution.direction(x, gaussian(1e-4)(noisy, sigma), gaussian(0.0)(noisy, sigma), valid)
    torch.testing.assert_close(x.grad, g / (valid.sum() * 5), rtol=1e-6, atol=0)
    assert not x.grad[valid == 0].any() and x.grad[valid > 0].all()


def test_every_sample_has_its_own_normaliser():
    """Scaling one sample's error leaves the size of its direction, and the others alone."""
    x, real = torch.zeros(2, 3, 4), torch.ones(2, 3, 4)
    once = distribution.direction(x, real + 0.1, real, torch.ones(2, 3))
    real[1] *= 10
    apart = distribution.direction(x, real + 0.1 * real, real, torch.ones(2, 3))
    torch.testing.assert_close(apart, once)


def test_guidance_extrapolates_from_no_singer():
    named, anyone = (lambda x, s: x + 2), (lambda x, s: x + 1)
    x, sigma = torch.zeros(1, 1, 1), torch.ones(1)
    assert [float(diffusion.guided(named, anyone, w)(x, sigma)) for w in (0.0, 1.0, 2.0)] == [1, 2, 3]


def test_levels_leave_out_the_ends():
    sigma = distribution.levels(20000, EDM, torch.Generator().manual_seed(0))
    place = sigma.double() ** (1 / EDM.rho)
    low, high = EDM.sigma_min ** (1 / EDM.rho), EDM.sigma_max ** (1 / EDM.rho)
    share = (place - low) / (high - low)
    assert 0.0199 < float(share.min()) < 0.022 and 0.978 < float(share.max()) < 0.9801
    assert float(share.mean()) == pytest.approx(0.5, abs=0.01)


# ---- lag and diversity


def test_a_fake_score_that_lags_is_told_from_one_that_keeps_up():
    class Affine(nn.Module):
        def __init__(self, mean):
            super().__init__()
            self.mean = nn.Parameter(torch.tensor(mean))

        def forward(self, x, sigma):
            return gaussian(self.mean)(x, sigma)

    x, valid, generator = 0.5 + SPREAD * torch.randn(64, 1, 1), torch.ones(64, 1), torch.Generator()

    def draw(net):
        sigma = distribution.levels(64, EDM, generator)
        return distribution.fake_loss(net, EDM, x, sigma, torch.randn(64, 1, 1, generator=generator), valid)

    def fixed(net):
        generator.manual_seed(3)
        return draw(net)

    stale, fresh = Affine(0.0), Affine(float(x.mean()))
    assert fake_lag(stale, fixed, [draw] * 50, rate=0.02) > 1.1
    assert fake_lag(fresh, fixed, [draw] * 50, rate=0.02) < 1.05
    assert float(stale.mean.detach()) == 0.0  # the network that is asked about stays as it is


def test_spread_is_the_deviation_over_noise_alone():
    valid = torch.tensor([[1.0, 1.0, 0.0]])

    def sampled(scale):
        def one(seed):
            noise = torch.randn(1, 3, 400, generator=torch.Generator().manual_seed(seed))
            return torch.arange(3.0)[None, :, None] + scale * noise * torch.tensor([1.0, 1.0, 1e6])[None, :, None]

        return one

    wide, narrow = spread(sampled(1.0), 16, valid), spread(sampled(0.1), 16, valid)
    assert wide == pytest.approx(1.0, abs=0.05) and narrow / wide == pytest.approx(0.1, abs=0.01)
    assert spread(sampled(0.0), 16, valid) == 0.0
