"""Distribution matching on Gaussians whose denoisers are known; the chain; the adversary; padding."""

import itertools

import pytest
import torch
from test_teacher import random_model
from torch import nn

from fastsvc.config import EdmConfig
from fastsvc.errors import ConfigError
from fastsvc.model import sampler, schedule
from fastsvc.training import adversary, diffusion, distribution, simulate
from fastsvc.training.alarms import fake_lag, spread

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


# ---- the chain


def chain_parts(levels=(20.0, 2.4, 1.0, 0.41)):
    model = random_model()
    cond, draws = torch.randn(2, 6, 8), torch.randn(len(levels), 2, 6, 5)
    return model, lambda x, s: model.denoise(x, s, cond), lambda step: draws[step], levels


def test_the_chain_is_the_consistency_samplers():
    _, denoise, noise, levels = chain_parts()
    for last in range(4):
        made = simulate.chain(denoise, levels, last, noise, EDM.sigma_min)
        whole = sampler.consistency(
            lambda x, s: denoise(x, torch.full((2,), s)), levels[: last + 1], noise, EDM.sigma_min
        )
        torch.testing.assert_close(made, whole)


def test_only_the_last_step_of_the_chain_has_a_graph():
    model, denoise, noise, levels = chain_parts()
    model.denoiser.requires_grad_(True)

    def kept(last) -> int:
        bytes_ = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: bytes_.append(t.nbytes) or t, lambda t: t):
            simulate.chain(denoise, levels, last, noise, EDM.sigma_min)
        return sum(bytes_)

    assert kept(0) == kept(1) == kept(3) > 0
    simulate.chain(denoise, levels, 2, noise, EDM.sigma_min).sum().backward()
    got = model.denoiser.skip_projection.weight.grad.clone()
    model.zero_grad()
    with torch.no_grad():
        before = simulate.chain(denoise, levels, 1, noise, EDM.sigma_min)
        x = before + (levels[2] ** 2 - EDM.sigma_min**2) ** 0.5 * noise(2)
    denoise(x, torch.full((2,), levels[2])).sum().backward()
    torch.testing.assert_close(got, model.denoiser.skip_projection.weight.grad)


def test_schedules_begin_at_sigma_max():
    assert simulate.schedules(EDM, (1, 2, 4)) == [[20.0], [20.0, 0.82], [20.0, 2.4, 1.0, 0.41]]
    assert simulate.schedules(EDM, (3,), ((1.5, 0.5),)) == [[20.0, 0.75, 0.25]]
    near = EdmConfig(sigma_data=0.15, sigma_max=20.0)  # as the demo's teacher: the condition leaves less to noise
    assert simulate.schedules(near, (4,))[0] == pytest.approx([20.0, 0.72, 0.3, 0.123])
    with pytest.raises(ConfigError, match="no levels are known for 3"):
        simulate.schedules(EDM, (1, 3))


def test_a_trained_schedule_takes_the_place_of_the_grid():
    config = EdmConfig(sigma_max=20.0, few_steps=((20.0,), (20.0, 2.4, 1.0, 0.41)))
    assert schedule.consistency_sigmas(config, 4).tolist() == pytest.approx([20.0, 2.4, 1.0, 0.41])
    with pytest.raises(ConfigError, match="trained only at 1, 4"):
        schedule.consistency_sigmas(config, 2)
    for bad in (((20.0, 2.0), (20.0, 1.0)), ((19.0,),), ((20.0, 1.0, 1.0),), ((20.0, 0.001),), ((),)):
        with pytest.raises(ConfigError, match="few_steps"):
            EdmConfig(sigma_max=20.0, few_steps=bad)


# ---- the adversary


def adversary_parts(frames=9):
    model = random_model()
    config = model.config
    head = adversary.Head(config, channels=12)
    return model, head, torch.randn(2, frames, 8), torch.tensor([0.1, 3.0])


def scored(model, head, x, z, sigma, cond, valid):
    skips = adversary.features(model.denoiser, model.config, x, sigma, z, cond, valid)
    return head(skips, cond, sigma, valid)


def test_gradients_of_the_adversary_reach_x_or_the_head_and_never_the_fake_score():
    model, head, cond, sigma = adversary_parts()
    model.denoiser.requires_grad_(True)
    x, z, valid = torch.randn(2, 9, 5), torch.randn(2, 9, 5), torch.ones(2, 9)
    real, made = (scored(model, head, each, z, sigma, cond, valid) for each in (x, x + 0.5))
    adversary.head_loss(real, made, valid).backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in head.parameters())
    at = x.requires_grad_(True)
    (pull,) = torch.autograd.grad(adversary.student_loss(scored(model, head, at, z, sigma, cond, valid), valid), at)
    assert pull.abs().min() > 0 and all(p.grad is None for p in model.parameters())


def test_the_head_learns_to_tell_and_the_student_to_please_it():
    model, head, cond, sigma = adversary_parts()
    valid, optimizer = torch.ones(2, 9), torch.optim.Adam(head.parameters(), lr=3e-3)

    def mels(shift):
        return 0.5 * torch.randn(2, 9, 5) + shift

    for _ in range(60):
        z = torch.randn(2, 2, 9, 5)
        real, made = (scored(model, head, mels(s), z[i], sigma, cond, valid) for i, s in enumerate((0.0, 0.8)))
        optimizer.zero_grad()
        adversary.head_loss(real, made, valid).backward()
        optimizer.step()
    assert float(real.detach().mean()) > 0.6 > 0.4 > float(made.detach().mean())
    x, z = mels(0.8).requires_grad_(True), torch.randn(2, 9, 5)
    before = adversary.student_loss(scored(model, head, x, z, sigma, cond, valid), valid)
    (pull,) = torch.autograd.grad(before, x)
    with torch.no_grad():
        after = adversary.student_loss(scored(model, head, x - 20 * pull, z, sigma, cond, valid), valid)
    assert float(after) < float(before.detach()) - 0.05 and float(pull.mean()) > 0  # back towards the real mean


# ---- padding


def longer(value, fill, count=3):
    return torch.cat([value, torch.full((2, count, *value.shape[2:]), fill)], dim=1)


def test_padding_changes_nothing():
    model, head, cond, sigma = adversary_parts(7)
    x, z, valid = torch.randn(2, 7, 5), torch.randn(2, 7, 5), torch.ones(2, 7)

    def losses(x, z, cond, valid):
        def real(x, s):
            return model.denoise(x, s, cond, valid)

        def fake(x, s):
            return 1.1 * real(x, s) + 0.1

        scores = scored(model, head, x, z, sigma, cond, valid)
        return torch.stack(
            [
                distribution.matching_loss(x, fake, real, sigma, z, valid),
                distribution.fake_loss(fake, EDM, x, sigma, z, valid),
                adversary.head_loss(scores, 2 * scores, valid),
                adversary.student_loss(scores, valid),
            ]
        )

    mask = torch.cat([valid, torch.zeros(2, 3)], dim=1)
    padded = losses(longer(x, float("nan")), longer(z, 50.0), longer(cond, 50.0), mask)
    torch.testing.assert_close(padded, losses(x, z, cond, valid), rtol=1e-6, atol=1e-6)
    unmasked = losses(longer(x, 1.0), longer(z, 50.0), longer(cond, 50.0), torch.ones(2, 10))
    assert bool(((unmasked - padded).abs() > 1e-3).all())


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
