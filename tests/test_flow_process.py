"""The rectified flow in the terms of the few-step objectives, against the flow's own formulas."""

import flows
import pytest
import torch

from fastsvc.errors import ConfigError
from fastsvc.model.ddsp import flow
from fastsvc.training import diffusion, simulate
from fastsvc.training.diffusion import wide
from fastsvc.training.flow import process, velocity
from fastsvc.training.flow.distilled import DistilledFlow
from fastsvc.training.flow.process import FlowProcess


@pytest.mark.parametrize("version", ["6.0", "6.1"])
def test_the_quicker_networks_are_the_specifications(version):
    """Values, and the gradients of every parameter and of the input."""
    model, batch = flows.model(version), flows.batch()
    net, x = model.reflow_model.velocity_fn, torch.randn_like(batch["mel"]).requires_grad_()
    first, time = batch["mel"].clone().requires_grad_(), torch.tensor([0.7, 0.8, 0.95])
    pull = torch.randn_like(x)
    told = [net(x, time, first), velocity.forward(net, x, time, first)]
    torch.testing.assert_close(told[1], told[0], rtol=1e-4, atol=1e-5)
    wanted, found = (torch.autograd.grad(value, [x, first, *net.parameters()], pull) for value in told)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
    features = [batch[name] for name in ("units", "f0_hz", "volume", "singer", "source")]
    pair = model.first_mel(*features), model.synthesised(*features)
    torch.testing.assert_close(pair[1], pair[0], rtol=1e-4, atol=1e-4)
    wanted, found = (
        torch.autograd.grad(value.square().sum(), list(model.ddsp_model.parameters()), allow_unused=True)
        for value in pair
    )
    for a, b in zip(wanted, found):
        assert a is None or float((a - b).norm()) < 1e-3 * float(a.norm()) + 1e-5


def test_padding_is_a_recordings_end():
    model, batch = flows.model(), flows.batch()
    net, x, time = model.reflow_model.velocity_fn, batch["mel"] / 5, torch.full((3,), 0.8)
    valid = batch["valid"].clone()
    valid[:, 12:] = 0
    whole = velocity.forward(net, x, time, batch["mel"], valid)
    short = velocity.forward(net, x[:, :12], time, batch["mel"][:, :12])
    torch.testing.assert_close(whole[:, :12], short, rtol=1e-4, atol=1e-5)


def test_d_is_the_jump_to_the_end_and_the_identity_at_the_end():
    model, batch = flows.model(), flows.batch()
    net, x0, first = model.reflow_model.velocity_fn, torch.randn_like(batch["mel"]), batch["mel"]
    z, time = torch.randn_like(x0), torch.tensor([0.7, 0.9, 1.0])
    sigma = (1 - time) / time
    state = wide(time) * x0 + wide(1 - time) * z  # the flow's own
    with torch.no_grad():
        wanted = state + wide(1 - time) * net(state, time, first)
        found = process.denoise(net, x0 + wide(sigma) * z, sigma, first)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(found[2], x0[2])


def test_an_euler_step_in_sigma_is_one_in_time():
    model, batch = flows.model(), flows.batch()
    net, first = model.reflow_model.velocity_fn, batch["mel"]
    state = torch.randn_like(first)
    level, after = 0.3, 0.18
    with torch.no_grad():
        wanted = flow.euler(lambda x, at: model.velocity(x, at, first), [level, after], state)
        high, low = (torch.full((3,), at / (1 - at)) for at in (level, after))
        found = diffusion.solver_step(
            lambda x, s: process.denoise(net, x, s, first), state / (1 - level), high, low, "euler"
        )
    torch.testing.assert_close((1 - after) * found, wanted, rtol=1e-4, atol=1e-5)


def test_heun_to_the_end_is_finite():
    model, batch = flows.model(), flows.batch()
    with torch.no_grad():
        found = diffusion.solver_step(
            lambda x, s: process.denoise(model.reflow_model.velocity_fn, x, s, batch["mel"]),
            batch["mel"] / 5,
            torch.full((3,), 0.1),
            torch.zeros(3),
        )
    assert bool(found.isfinite().all())


def test_levels():
    flat = FlowProcess(0.7)
    grid = flat.grid(16).double()
    torch.testing.assert_close(grid / (1 + grid), torch.linspace(0, 0.3, 16).double(), rtol=1e-6, atol=1e-7)
    drawn = flat.matching_levels(20000, torch.Generator().manual_seed(0))
    place = drawn / (1 + drawn) / 0.3
    assert 0.02 <= float(place.min()) < 0.021 and 0.979 < float(place.max()) <= 0.98
    assert float(place.mean()) == pytest.approx(0.5, abs=0.01)
    one, two = flat.schedules((1, 2), simulate.BELOW)
    assert one == [pytest.approx(3 / 7)] and two == pytest.approx([3 / 7, 0.15 / 0.85])
    for steps, below in (((1, 1), simulate.BELOW), ((), simulate.BELOW), ((1,), ((0.5,),))):
        with pytest.raises(ConfigError, match=r"task\.(steps|below)"):
            flat.schedules(steps, below)
    with pytest.raises(ConfigError, match="nothing to start from"):
        FlowProcess(0.0)


def test_the_flows_own_loss():
    """v − (x1 − z) by hand, and what a network gets that knows the answer."""
    x, z, valid = torch.randn(3, 5, 4), torch.randn(3, 5, 4), torch.ones(3, 5)
    valid[0, 3:] = 0
    time = torch.tensor([0.7, 0.8, 0.9])
    sigma, off = (1 - time) / time, torch.randn(3, 5, 4)

    def denoise(state, sigma):  # velocity x1 − z + off
        return x + wide(1 - time) * off

    inside = valid[..., None].expand_as(off) > 0
    found = FlowProcess(0.7).denoising_loss(denoise, x, sigma, z, valid)
    torch.testing.assert_close(found, off[inside].square().mean(), rtol=1e-4, atol=1e-5)


def test_the_path_from_the_first_mel():
    """It starts at f + σ_start z and ends at the recording; a share of 0 leaves recordings as they are."""
    torch.manual_seed(0)
    x0, first = torch.randn(4, 3, 2), -5 + torch.randn(4, 3, 2)
    start, generator = torch.full((4,), 3 / 7), torch.Generator().manual_seed(0)
    distilled = DistilledFlow(0.7, 1.0)
    torch.testing.assert_close(distilled.path(x0, first, start, generator), flow.normalised(first))
    assert torch.equal(distilled.path(x0, first, 0 * start, generator), x0)
    half = distilled.path(x0, first, start / 2, generator)
    torch.testing.assert_close(half, (x0 + flow.normalised(first)) / 2)
    assert DistilledFlow(0.7).path(x0, first, start, generator) is x0
    some = DistilledFlow(0.7, 0.5).path(x0.expand(1000, 4, 3, 2)[:, 0], first[:1], start[:1].expand(1000), generator)
    assert 400 < int((some != x0[0]).any(2).any(1).sum()) < 600


def test_consistency_by_hand():
    """Jump, then noise again at the level between; the sampler of training, of the specification and by hand agree."""
    model, batch = flows.model(), flows.batch()
    first, draws = batch["mel"], torch.randn(2, *batch["mel"].shape)
    with torch.no_grad():
        x = 0.7 * flow.normalised(first) + 0.3 * draws[0]
        x = x + 0.3 * model.velocity(x, 0.3, first)
        x = 0.85 * x + 0.15 * draws[1]
        wanted = flow.denormalised(x + 0.15 * model.velocity(x, 0.15, first))
        refined = model.refine(first, lambda step: draws[step], 2, "consistency")
        sampled = model.sample(first, 2, lambda step: draws[step], "consistency")
        one = model.refine(first, draws[0], 1, "consistency"), model.refine(first, draws[0], 1)
    torch.testing.assert_close(refined, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sampled, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(*one)
    levels = FlowProcess(0.7).schedules((2,), simulate.BELOW)[0]
    draw = iter(draws)
    with torch.no_grad():
        chained = simulate.chain(
            lambda x, s: process.denoise(model.reflow_model.velocity_fn, x, s, first),
            levels,
            1,
            lambda _: next(draw),
            0.0,
            flow.normalised(first),
        )
    torch.testing.assert_close(flow.denormalised(chained), wanted, rtol=1e-4, atol=1e-4)
