"""RVC's text encoder and flow in their lowered form on a CPU: upstream's numbers, every size, cutting."""

import pytest
import rvc_golden
import torch
from golden import relative

from fastsvc.artifact import lowered
from fastsvc.artifact.manifest import Sampling
from fastsvc.build.passes import rvc
from fastsvc.config import MelConfig, RvcConfig
from fastsvc.engine.cpu.rvc import RvcSampler, attention, encoder
from fastsvc.engine.cpu.sampler import Features, SeededNoise, noise_from
from fastsvc.model.modules import module

BOUND = 1e-5
SMALL = {
    "mel": MelConfig(40000, 400, bins=10, low_hz=0, high_hz=20000),
    "hidden": 12,
    "filter_channels": 20,
    "layers": 2,
    "speakers": 4,
    "speaker_channels": 5,
    "window": 3,
}


def sampler(model, noise_scale=0.66666) -> RvcSampler:
    """The lowered form of a specification's module."""
    weights = {name: value.double() for name, value in model.state_dict().items()}
    tensors = rvc.lower(rvc.fold(weights, model.config))
    assert {name: tuple(value.shape) for name, value in tensors.items()} == lowered.shapes(model.config, 1)
    return RvcSampler(tensors, model.config, Sampling("rvc", {1: [noise_scale]}, [noise_scale]))


def random(config: RvcConfig, seed=0):
    torch.manual_seed(seed)
    model = module("rvc", config)
    with torch.no_grad():
        for parameter in model.parameters():  # those that begin as 0 or 1, too
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval().requires_grad_(False)


def features(frames: int, config: RvcConfig, **changes) -> Features:
    """Units at half the frames' rate; unvoiced here and there."""
    draw = torch.Generator().manual_seed(frames)
    units = torch.randn(frames // 2 + 1, config.unit_channels, generator=draw)
    f0_hz = 60 + 900 * torch.rand(frames, generator=draw)
    voiced = torch.rand(frames, generator=draw) > 0.3
    return Features(units, torch.arange(frames) // 2, f0_hz, voiced, torch.zeros(frames), **changes)


def specified(model, features: Features, weights: dict[int, float], noise, units=None):
    """z [T, C] in float64."""
    wide = module("rvc", model.config).double().eval()
    wide.load_state_dict(model.state_dict())
    units = features.units[features.unit_indices] if units is None else units
    rows = torch.tensor([[weights.get(i, 0.0) for i in range(model.config.speakers)]], dtype=torch.float64)
    coarse = model.coarse_pitch(features.f0_hz * features.voiced)[None]
    with torch.no_grad():
        return wide.latent(units[None].double(), coarse, wide.speaker(rows), noise[None].double())[0]


def errors(model, golden) -> dict[str, float]:
    """Of every quantity that the case holds, from upstream's inputs and draws."""
    lowered_form = sampler(model)
    prior = lowered_form.encoder(golden["units"][0], golden["pitch"][0] if model.config.pitch else None)
    z_p = lowered_form.drawn(prior, golden["noise_z"][0], model.config.noise_scale)
    z = lowered_form.flow(z_p, lowered_form.condition.speaker({int(golden["sid"]): 1.0}))
    found = dict(zip(("m_p", "logs_p"), prior.chunk(2, dim=-1))) | {"z_p": z_p, "z": z}
    return {name: relative(value, golden[name][0]) for name, value in found.items() if name in golden}


@pytest.mark.parametrize("file, case", [pair for pair in rvc_golden.CASES if "live" not in pair[1]])
def test_golden(file, case):
    found = errors(rvc_golden.voice(rvc_golden.read(file)).acoustic, rvc_golden.case(case))
    assert len(found) == 4 and max(found.values()) < BOUND, found


def test_golden_at_full_size():
    found = errors(rvc_golden.voice(rvc_golden.full_size("v2 40k f0")).acoustic, rvc_golden.case(rvc_golden.FULL))
    assert set(found) == {"m_p", "logs_p", "z"} and max(found.values()) < BOUND, found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pitch": False, "couplings": 3, "flow_layers": 1},
        {"heads": 3, "kernel": 5, "window": 1, "couplings": 1, "flow_kernel": 3},
        {"kernel": 1, "flow_kernel": 1, "heads": 1, "window": 40},
    ],
)
@pytest.mark.parametrize("frames", [1, 2, 3, 31, 300])
def test_every_size_agrees_with_the_specification(changes, frames):
    config = RvcConfig(**SMALL | changes)
    model, noise = random(config), torch.randn(frames, config.mel.bins)
    form, heard, voice = sampler(model), features(frames, config), {0: 0.25, 3: 0.75}
    got = form(heard, form.condition.speaker(voice), 1, noise_from([noise]))
    assert relative(got, specified(model, heard, voice, noise)) < BOUND


def test_attention_is_the_same_in_blocks(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    rows = [torch.randn(2, 50, 4, generator=draw) for _ in range(3)]
    near = [torch.randn(7, 4, generator=draw) for _ in range(2)]
    whole = attention.banded_attention(*rows, *near)
    for queries in (1, 7, 49):
        monkeypatch.setattr(attention, "QUERIES", queries)
        assert relative(attention.banded_attention(*rows, *near), whole) < 1e-6


def test_flow_is_exact_in_blocks():
    config = RvcConfig(**SMALL)
    form, heard = sampler(random(config)), features(150, config)
    voice, noise = form.condition.speaker({1: 1.0}), SeededNoise(3, config.mel.bins)
    whole = form(heard, voice, 1, noise)
    for block in (1, 17, 149):
        assert relative(form(heard, voice, 1, noise, block=block), whole) < 1e-6


def test_a_part_of_the_latent_is_that_of_the_whole():
    """The encoder sees all frames; the flow those around the wanted ones."""
    config = RvcConfig(**SMALL)
    form, heard = sampler(random(config)), features(120, config)
    voice, noise = form.condition.speaker({1: 1.0}), SeededNoise(3, config.mel.bins)
    whole = form(heard, voice, 1, noise)
    assert config.flow_halo_frames < 45
    for first, last in ((0, 5), (50, 58), (112, 120), (0, 120)):
        assert relative(form.part(heard, voice, 1, noise, first, last), whole[first:last]) < 1e-6


def test_several_recordings_get_what_each_gets_alone():
    config = RvcConfig(**SMALL)
    form, recordings = sampler(random(config)), [features(frames, config) for frames in (9, 1, 40)]
    voice, done = form.condition.speaker({2: 1.0}), []
    noises = [
        SeededNoise(5, config.mel.bins),
        SeededNoise(5, config.mel.bins, scale=0.5),
        SeededNoise(6, config.mel.bins),
    ]
    together = form.many(recordings, voice, 1, noises, done.append)
    for heard, noise, latent in zip(recordings, noises, together):
        torch.testing.assert_close(latent, form(heard, voice, 1, noise), rtol=0, atol=0)
    assert done == sorted(done) and done[-1] == 1


def test_noise_begins_with_the_recording_not_with_its_margin():
    config = RvcConfig(**SMALL)
    form, asked = sampler(random(config)), []

    def noise(step, first, last):
        asked.append((first, last))
        return torch.zeros(last - first, config.mel.bins)

    form(features(20, config, margin=4), form.condition.speaker({0: 1.0}), 1, noise)
    assert asked == [(-4, 16)]


def test_unvoiced_frames_are_protected_from_the_index():
    config = RvcConfig(**SMALL)
    model, noise = random(config), torch.zeros(21, config.mel.bins)
    form, heard = sampler(model), features(21, config)
    original = torch.randn_like(heard.units)
    changed = features(21, config, original_units=original, protect=0.25)
    voice = form.condition.speaker({0: 1.0})
    got = form(changed, voice, 1, noise_from([noise]))
    units, before = (rows[heard.unit_indices] for rows in (heard.units, original))
    mixed = torch.where(heard.voiced[:, None], units, 0.25 * units + 0.75 * before)
    assert relative(got, specified(model, heard, {0: 1.0}, noise, mixed)) < BOUND
    unprotected = form(features(21, config, original_units=original, protect=0.5), voice, 1, noise_from([noise]))
    torch.testing.assert_close(unprotected, form(heard, voice, 1, noise_from([noise])), rtol=0, atol=0)


def test_a_long_recording_fades_from_stretch_to_stretch(monkeypatch):
    """Each frame is that of its own stretch, but for the fade, which lies between the two."""
    for name, frames in {"WHOLE": 50, "KEEP": 20, "CONTEXT": 8, "FADE": 4}.items():
        monkeypatch.setattr(encoder, name, frames)
    rows = torch.randn(57, 3)
    assert [(first, last) for first, last, _ in encoder.faded(50, lambda begin, end: rows[begin:end])] == [(0, 50)]
    asked = []

    def part(begin, end):
        asked.append((begin, end))
        return rows[begin:end] + len(asked)

    whole = torch.cat([part_rows for _, _, part_rows in encoder.faded(57, part)]) - rows
    assert asked == [(0, 28), (12, 48), (32, 57)]
    fade = torch.arange(1, 5)[:, None] / 5
    want = torch.cat([torch.full((20, 1), 1.0), 1 + fade, torch.full((16, 1), 2.0), 2 + fade, torch.full((13, 1), 3.0)])
    torch.testing.assert_close(whole, want.expand(-1, 3))


def test_stretches_keep_what_one_stretch_gives_where_attention_is_near(monkeypatch):
    """Frames that attend to near ones alone do not notice the cuts; random weights do (bench/rvc.py says how much)."""
    config = RvcConfig(**SMALL)
    model = random(config)
    for layer in model.enc_p.encoder.attn_layers:
        layer.conv_q.weight.zero_()
        layer.conv_q.bias.fill_(100.0)
        layer.conv_k.weight.zero_()
        layer.conv_k.bias.zero_()
        layer.emb_rel_k.fill_(1.0)
    form, heard = sampler(model), features(90, config)
    voice, noise = form.condition.speaker({0: 1.0}), SeededNoise(0, config.mel.bins)
    whole = form(heard, voice, 1, noise)
    for name, frames in {"WHOLE": 50, "KEEP": 20, "CONTEXT": 15, "FADE": 4}.items():
        monkeypatch.setattr(encoder, name, frames)
    assert relative(form(heard, voice, 1, noise), whole) < BOUND
