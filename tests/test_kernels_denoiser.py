"""The lowered denoiser through kernels against the specification, layer by layer, from the compiler's own tensors."""

import pytest
import torch
from golden import relative_rms
from kernel_check import ARCH, DEVICE, random

pytest.importorskip("triton")

from fastsvc.build.passes.fold import fold_condition, fold_layers, fold_skips, step_vectors
from fastsvc.build.passes.lower import lower
from fastsvc.config import AcousticConfig, ConditionConfig, DenoiserConfig, FeatureConfig
from fastsvc.kernels import dependent
from fastsvc.kernels.denoiser.network import (
    DenoiserLaunches,
    NoiseLevel,
    Tiles,
    Update,
    consistency_updates,
    euler_updates,
)
from fastsvc.kernels.denoiser.pack import pack, padded
from fastsvc.kernels.tiles import Tile
from fastsvc.model import noise, process, sampler, schedule
from fastsvc.model.acoustic import AcousticModel

CONFIG = AcousticConfig(
    features=FeatureConfig(unit_channels=6),
    condition=ConditionConfig(unit_channels=6, channels=20, speakers=3, key_shift=False, voicing=True),
    denoiser=DenoiserConfig(channels=48, layers=5, cond_channels=20, dilation_cycle=3),
)
FRAMES, LENGTHS = 33, [33, 1, 18]
SEEDS, PLACES = [5, 6, 7], [0, 1000, 2**33]


def lowered(model, levels):
    weights = {name: value.double() for name, value in model.state_dict().items()}
    config, layers = model.config, model.config.denoiser.layers
    folded = {**fold_condition(weights, config), **fold_layers(weights, layers), **fold_skips(weights, layers)}
    return lower({**folded, "steps": step_vectors(weights, config, levels)}, layers)


def build(method="consistency", steps=2, dtype=torch.float32, splits=1, allocate=torch.zeros):
    """(specification, kernels' denoiser, noise levels) of random weights."""
    model = AcousticModel(CONFIG).eval().to(DEVICE)
    torch.nn.init.normal_(model.denoiser.output_projection.weight, std=0.1)
    sigmas = schedule.levels(CONFIG, method, steps)
    evaluated = schedule.evaluated(method, sigmas)
    weights = pack(lowered(model.cpu(), evaluated), model.low, model.high, dtype, DEVICE)
    table = [tuple(map(float, process.coefficients(CONFIG, torch.tensor(s)))) for s in evaluated]
    levels = [NoiseLevel(i, c_skip, c_out, c_in) for i, (c_skip, c_out, c_in, _) in enumerate(table)]
    tiles = Tiles.of(weights, 3, FRAMES, ARCH)
    if DEVICE == "cpu":  # large blocks: the interpreter's time goes by operations
        block = Tile(64, 64, 64, 4, 2)
        tiles = Tiles(block, Tile(64, 64, 128, 4, 1), Tile(64, 128, 64, 4, 2), block, block, Tile(64, 128, 64, 4, 2))
        if splits > 1:
            tiles = Tiles(*list(vars(tiles).values())[:4], Tile(64, 64, 64, 4, 2, splits), tiles.head)
    pdl = dependent.possible(torch.device(DEVICE), ARCH)
    given = weights, CONFIG.denoiser.dilations, levels, 3, FRAMES, tiles
    net = DenoiserLaunches(*given, precision="ieee", allocate=allocate, pdl=pdl)
    return model.to(DEVICE), net, sigmas


def inside(frames=FRAMES):
    return (torch.arange(frames) < torch.tensor(LENGTHS)[:, None]).to(DEVICE)


def prepare(net, cond):
    """A batch of unequal slices; the buffers hold what an earlier, longer batch left."""
    net.lengths.fill_(FRAMES)
    with torch.no_grad():
        net.state[..., : net.weights.channels].fill_(9.0)
        net.z.fill_(9.0)
    net.prepare(torch.tensor(LENGTHS), cond, torch.tensor(PLACES), torch.tensor(SEEDS))


def traced(model, x, sigma, cond):
    """x_l + d_l entering every layer, z of every layer, relu(skip) and D of the specification, [B, T, …]."""
    trace = {"x": [], "z": []}
    hooks = []
    for layer in model.denoiser.residual_layers:
        inner = slice(layer.reach[0], -layer.reach[1])  # without the padding
        hooks.append(
            layer.dilated_conv.register_forward_pre_hook(lambda m, a, inner=inner: trace["x"].append(a[0][..., inner]))
        )
        hooks.append(layer.output_projection.register_forward_pre_hook(lambda m, a: trace["z"].append(a[0])))
    output = model.denoiser.output_projection
    hooks.append(output.register_forward_pre_hook(lambda m, a: trace.update(skip=a[0])))
    with torch.no_grad():
        d = model.denoise(x, sigma, cond, inside())
    for hook in hooks:
        hook.remove()
    rows = {name: [v.transpose(1, 2) for v in trace[name]] for name in ("x", "z")}
    return rows["x"], rows["z"], trace["skip"].transpose(1, 2), d


@pytest.mark.slow
@pytest.mark.parametrize("dtype, bound", [(torch.float32, 2e-6), (torch.float16, 4e-3)])
def test_layer_by_layer(dtype, bound):
    model, net, sigmas = build(dtype=dtype)
    cond = random(3, FRAMES, CONFIG.denoiser.cond_channels)
    prepare(net, cond)
    width, step = net.weights.channels, padded(CONFIG.denoiser.channels)
    valid = inside()[..., None]
    for index, sigma in enumerate(sigmas):
        x = random(3, FRAMES, CONFIG.denoiser.mel_bins) * sigma
        xs, zs, skip, d = traced(model, x, sigma, cond)
        net.x.copy_(x)
        found = iter(xs)
        for launch in net.evaluation(index):
            if launch.kernel.fn.__name__ == "gated_conv_kernel":
                expected = next(found)
                state = net.state[..., : CONFIG.denoiser.channels]
                assert relative_rms(state, torch.where(valid, expected, 0)) < bound, "x"
                assert not net.state[..., CONFIG.denoiser.channels : width].any(), "a padded channel is not zero"
            launch.run()
        assert next(found, None) is None
        for layer, z in enumerate(zs):
            ours = net.z[..., layer * step : layer * step + CONFIG.denoiser.channels]
            assert relative_rms(ours, torch.where(valid, z, 0)) < bound, f"z of layer {layer}"
        assert relative_rms(net.parts[0][..., : CONFIG.denoiser.channels], torch.where(valid, skip, 0)) < bound
        assert relative_rms(net.out, torch.where(valid, d, 0)) < bound
        assert not net.out[~inside()].any() and not net.state[..., :width][~inside()].any()


def draws(step):
    bins = CONFIG.denoiser.mel_bins
    rows = [noise.gaussian(seed, step, place, FRAMES, bins, DEVICE) for seed, place in zip(SEEDS, PLACES)]
    return torch.stack(rows)


@pytest.mark.slow
@pytest.mark.parametrize("method, splits", [("consistency", 5), ("euler", 1)])
@pytest.mark.sampled(2)
def test_schedule(method, splits):
    """Four steps from noise to mel: the first draw, every evaluation, renoising, denormalising."""
    model, net, sigmas = build(method, 4, splits=splits)
    updates = consistency_updates(sigmas, CONFIG.edm.sigma_min) if method == "consistency" else euler_updates(sigmas)
    cond = random(3, FRAMES, CONFIG.denoiser.cond_channels)
    prepare(net, cond)
    for launch in net.schedule(updates, spread=sigmas[0]):
        launch.run()
    with torch.no_grad():
        x = sampler.sample(CONFIG, method, lambda x, s: model.denoise(x, s, cond, inside()), sigmas, draws, cond)
        mel = model.denormalise(x)
    assert relative_rms(net.out, torch.where(inside()[..., None], mel, 0)) < 1e-5


def test_a_slice_alone_or_in_a_batch_gives_the_same():
    _, net, _ = build()
    cond, x = random(3, FRAMES, CONFIG.denoiser.cond_channels), random(3, FRAMES, CONFIG.denoiser.mel_bins)
    prepare(net, cond)
    together = net(x, 0).clone()
    net.prepare(torch.tensor([LENGTHS[0], 0, 0]))
    assert torch.equal(net(x, 0)[0], together[0])
    assert not net.out[1:].any()


def test_two_step_history():
    """x ← keep·x + pull·D + past·D' over two evaluations, as DPM-Solver++(2M) takes them."""
    model, net, sigmas = build()
    cond = random(3, FRAMES, CONFIG.denoiser.cond_channels)
    prepare(net, cond)
    updates = [Update(keep=0.5, pull=0.5, remember=True), Update(keep=0.25, pull=1.0, past=-0.25)]
    for launch in net.schedule(updates, spread=sigmas[0]):
        launch.run()
    with torch.no_grad():
        x = draws(0) * sigmas[0]
        first = model.denoise(x, sigmas[0], cond, inside())
        x = 0.5 * x + 0.5 * first
        second = model.denoise(x, sigmas[1], cond, inside())
        mel = model.denormalise(0.25 * x + second - 0.25 * first)
    assert relative_rms(net.out, torch.where(inside()[..., None], mel, 0)) < 1e-5


def test_condition_from_features():
    model, net, _ = build()
    units, unit_places = random(3, 9, 6), torch.randint(0, 9, (3, FRAMES), dtype=torch.int32, device=DEVICE)
    scalars = torch.rand(3, 3, FRAMES, device=DEVICE) * torch.tensor([400.0, 1.0, 1.0], device=DEVICE)[:, None, None]
    speaker = torch.tensor([0, 2, 1], device=DEVICE)
    prepare(net, None)
    table = lowered(model.cpu(), [1.0])["condition.speakers"].to(DEVICE)
    utterance = torch.zeros(3, net.weights.hidden, device=DEVICE)
    utterance[:, : table.shape[1]] = table[speaker]
    net.project_units(units, unit_places, scalars, utterance).run()
    rows = units.gather(1, unit_places[..., None].expand(-1, -1, 6).long())
    with torch.no_grad():
        expected = model.to(DEVICE).condition(rows, scalars[0], scalars[1], speaker, voiced=scalars[2])
    width = CONFIG.denoiser.cond_channels
    assert relative_rms(net.cond[..., :width], torch.where(inside()[..., None], expected, 0)) < 2e-6
    assert not net.cond[..., width:].any()
