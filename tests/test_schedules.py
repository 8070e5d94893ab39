"""The kernels' update form against the samplers themselves, on a denoiser that is only arithmetic."""

import pytest
import torch

from fastsvc.config import AcousticConfig, ConditionConfig, DdpmConfig, DenoiserConfig, EdmConfig
from fastsvc.engine.cuda import schedules
from fastsvc.model import sampler, schedule

EDM, DDPM = AcousticConfig(), AcousticConfig(ddpm=DdpmConfig())


def denoise(x, level):
    return torch.sin(x) + 0.01 * level


def run(plan, noise, given=None):
    """What kernels/denoiser/first.py and kernels/denoiser/head.py do with a plan."""
    x = plan.spread * noise(0) + (0 if given is None else plan.carry * given)
    before = None
    for i, (level, update) in enumerate(zip(plan.levels, plan.updates, strict=True)):
        d = denoise(x, level)
        x = update.keep * x + update.pull * d
        if update.past is not None:
            x = x + update.past * before
        if update.spread is not None:
            x = x + update.spread * noise(i + 1)
        if update.remember or update.past is not None:
            before = d
    return x


@pytest.mark.parametrize("steps", [1, 2, 4, 12])
@pytest.mark.parametrize("method", ["consistency", "euler", "ddim", "dpm++"])
def test_same_as_the_sampler(method, steps):
    config = DDPM if method in sampler.methods(DDPM) else EDM
    levels = schedule.levels(config, method, steps)
    draws = [torch.randn(5, 3, dtype=torch.float64) for _ in range(steps + 1)]
    plan = schedules.fused(config, method, levels)
    want = sampler.sample(config, method, denoise, levels, lambda i: draws[i], None)
    torch.testing.assert_close(run(plan, lambda i: draws[i]), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["ddim", "dpm++"])
def test_refining_a_mel(method):
    levels = schedule.levels(DDPM, method, 5, 200)
    given, draws = torch.randn(5, 3, dtype=torch.float64), [torch.randn(5, 3, dtype=torch.float64)]
    plan = schedules.fused(DDPM, method, levels, refine=True)
    want = sampler.sample(DDPM, method, denoise, levels, lambda i: draws[i], None, given)
    torch.testing.assert_close(run(plan, lambda i: draws[i], given), want, rtol=1e-9, atol=1e-9)


def test_what_the_form_cannot_express():
    wide = ConditionConfig(channels=80), DenoiserConfig(cond_channels=80)
    about = AcousticConfig(edm=EdmConfig(noise_mean="condition"), condition=wide[0], denoiser=wide[1])
    assert schedules.fused(EDM, "heun", schedule.levels(EDM, "heun", 3)) is None
    assert schedules.fused(DDPM, "unipc", schedule.levels(DDPM, "unipc", 3)) is None
    assert schedules.fused(about, "consistency", schedule.levels(about, "consistency", 2)) is None
