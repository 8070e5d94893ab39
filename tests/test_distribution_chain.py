"""The chain of steps that a student is trained through, and its schedules."""

import pytest
import torch
from gaussians import EDM
from teachers import random_model

from fastsvc.config import EdmConfig
from fastsvc.errors import ConfigError
from fastsvc.model import sampler, schedule
from fastsvc.training import simulate


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
