"""The DDPM chain and its solvers: against upstream's formulas, against the exact flow, and in shallow diffusion."""

import itertools
import math

import pytest
import torch

from fastsvc.config import AcousticConfig, DdpmConfig
from fastsvc.errors import ConfigError
from fastsvc.model import ddpm, sampler, schedule, solver

CHAIN = DdpmConfig()
CONFIG = AcousticConfig(ddpm=CHAIN)
MEAN, SPREAD = 0.3, 0.2  # of Gaussian data, whose denoiser and flow are known exactly


def places(steps: int, depth: int | None = None, config: DdpmConfig = CHAIN):
    return solver.chain(config, schedule.chain_levels(config, steps, depth).tolist())


def perfect(x, level):
    """E[x0 | x_n = x] of Gaussian data."""
    alpha, s = (float(v) for v in ddpm.alpha_and_spread(CHAIN, torch.tensor(level, dtype=torch.float64)))
    gain = alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + s**2)
    return MEAN + gain * (x - alpha * MEAN)


def flow(x, begin, end):
    """Where the probability flow takes x: quantiles of one Gaussian to those of the other."""

    def moments(place):
        return place[1] * MEAN, math.sqrt(place[1] ** 2 * SPREAD**2 + place[2] ** 2)

    (a, b), (c, d) = moments(begin), moments(end)
    return c + (x - a) / b * d


def test_the_chain_is_upstreams():
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    product = torch.cumprod(1 - betas, 0)
    alpha, spread = ddpm.alpha_and_spread(CHAIN, torch.arange(1000))
    torch.testing.assert_close(alpha**2, product, rtol=1e-10, atol=0)
    torch.testing.assert_close(spread**2, 1 - product, rtol=1e-10, atol=0)
    middle = ddpm.log_alpha(CHAIN, torch.tensor([10.25], dtype=torch.float64))
    torch.testing.assert_close(middle[0], 0.75 * alpha[10].log() + 0.25 * alpha[11].log(), rtol=1e-12, atol=0)


def test_coefficients_predict_the_start_from_the_noise():
    x, noise = torch.randn(2, 5, dtype=torch.float64)
    for level in (0.0, 13.7, 999.0):
        alpha, s = ddpm.alpha_and_spread(CHAIN, torch.tensor(level, dtype=torch.float64))
        c_skip, c_out, c_in, c_noise = ddpm.coefficients(CHAIN, torch.tensor(level, dtype=torch.float64))
        torch.testing.assert_close(c_skip * (alpha * x + s * noise) + c_out * noise, x, rtol=1e-9, atol=1e-9)
        assert float(c_in) == 1 and float(c_noise) == level


def test_ddim_is_upstreams_step():
    """x' = √a' (x/√a + (√((1−a')/a') − √((1−a)/a)) ε), from GaussianDiffusion.p_sample_ddim."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    product = torch.cumprod(1 - betas, 0)

    def noise_of(x, level):
        alpha, s = ddpm.alpha_and_spread(CHAIN, torch.tensor(level, dtype=torch.float64))
        return (x - alpha * perfect(x, level)) / s

    x = torch.randn(7, dtype=torch.float64)
    want, levels = x, [900, 600, 300, 0]
    for now, after in itertools.pairwise(levels):
        a, b = product[now], product[after]
        step = ((1 - b) / b).sqrt() - ((1 - a) / a).sqrt()
        want = b.sqrt() * (want / a.sqrt() + step * noise_of(want, float(now)))
    got = solver.ddim(perfect, solver.chain(CHAIN, [float(n) for n in levels]), x)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def reference_multistep(method: str, denoise, chain, x):
    """The published loops (dpm_solver_pytorch.py, uni_pc.py), for order 2 and any schedule, with a linear solve."""
    lam = [math.log(a / s) for _, a, s in chain]
    steps, seen = len(chain) - 1, [denoise(x, chain[0][0])]
    for step in range(1, steps + 1):
        order = min(2, step) if method == "dpm++" and steps >= 10 else min(2, step, steps + 1 - step)
        _, alpha, s = chain[step]
        h = lam[step] - lam[step - 1]
        first = math.expm1(-h)
        base = s / chain[step - 1][2] * x - alpha * first * seen[-1]
        ratio = (lam[step - 2] - lam[step - 1]) / h if order == 2 else None
        slope = (seen[-2] - seen[-1]) / ratio if order == 2 else 0
        x = base - alpha * first * 0.5 * slope
        if step == steps:
            return x
        new = denoise(x, chain[step][0])
        if method == "unipc":
            matrix = [[1.0, 1.0], [ratio, 1.0]] if order == 2 else [[1.0]]
            phi, b, factorial = first / -h - 1, [], 1
            for i in range(1, order + 1):
                b.append(phi * factorial / first)
                factorial *= i + 1
                phi = phi / -h - 1 / factorial
            rho = torch.linalg.solve(torch.tensor(matrix, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
            weights = rho.tolist() if order == 2 else [0.5]
            x = base - alpha * first * (weights[-1] * (new - seen[-1]) + (weights[0] * slope if order == 2 else 0))
        seen.append(new)
    return x


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 9, 10, 20])
@pytest.mark.parametrize("method", ["dpm++", "unipc"])
def test_solvers_are_the_published_loops(method, steps):
    x = torch.randn(11, dtype=torch.float64)

    def crooked(x, level):
        return torch.tanh(perfect(x, level)) + 0.1 * torch.sin(3 * x + level / 300)

    want = reference_multistep(method, crooked, places(steps), x)
    torch.testing.assert_close(solver.SOLVERS[method](crooked, places(steps), x), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method, least, bound", [("ddim", 1.6, 0.04), ("dpm++", 3.2, 0.01), ("unipc", 2.8, 0.003)])
def test_solvers_approach_the_exact_flow(method, least, bound):
    """Twice the steps: half the error for a first-order method, a quarter for a second-order one."""
    x = torch.randn(50, dtype=torch.float64)

    def error(steps):
        chain = places(steps, 600)
        return float((solver.SOLVERS[method](perfect, chain, x) - flow(x, chain[0], chain[-1])).abs().max())

    coarse, fine = error(80), error(160)
    assert coarse / fine > least and fine < bound


def test_a_refined_mel_begins_at_its_own_noising():
    chain = places(5, 100)
    x0, noise = torch.randn(2, 3, 4)
    began = solver.start(chain[0], noise, x0)
    torch.testing.assert_close(began, chain[0][1] * x0 + chain[0][2] * noise)
    assert chain[0][0] == 99 and chain[-1][0] == 0
    assert torch.equal(solver.start(chain[0], noise), noise)
    # with a perfect denoiser of one known mel, whatever the depth, that mel comes back
    got = sampler.sample(CONFIG, "dpm++", lambda x, n: x0, [p[0] for p in chain], lambda step: noise, x0, x0)
    assert float((got - chain[-1][1] * x0).abs().max()) < 3.5 * chain[-1][2]


def test_faults():
    for steps, depth in ((0, None), (1000, None), (5, 5)):
        with pytest.raises(ConfigError):
            schedule.chain_levels(CHAIN, steps, depth)
    for values in ({"beta_low": 0.0}, {"beta_high": 1.0}, {"timesteps": 1}, {"trained_steps": 1001}):
        with pytest.raises(ConfigError):
            DdpmConfig(**values)
    assert sampler.methods(CONFIG)[0] == "dpm++" and sampler.methods(AcousticConfig())[0] == "consistency"
