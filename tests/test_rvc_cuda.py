"""RVC's text encoder and flow in the GPU's form, run on a CPU: every size, batches, stretches, cutting."""

import math
from dataclasses import replace

import pytest
import rvc_golden
import torch
from golden import relative
from rvc_cuda import CONFIG, poisoned, sampler
from test_rvc_lowered import SMALL, features, random
from test_rvc_lowered import sampler as cpu_sampler

from fastsvc.config import RvcConfig
from fastsvc.engine.buckets import Buckets
from fastsvc.engine.cpu.rvc import encoder
from fastsvc.engine.cpu.sampler import Features, SeededNoise, noise_from
from fastsvc.engine.cuda.rvc import attention, network
from fastsvc.model.rvc.pitch import coarse_pitch

BOUND = 1e-5
SEED = 2**63 + 5


@pytest.fixture(scope="module")
def model():
    return random(CONFIG)


@pytest.fixture
def pair(model):
    """(the CPU's sampler, the GPU's)."""
    return cpu_sampler(model), sampler(model)


def seeded(seed=SEED, config=CONFIG):
    return SeededNoise(seed, config.mel.bins)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pitch": False, "couplings": 3, "flow_layers": 1},
        {"heads": 3, "kernel": 5, "window": 1, "couplings": 1, "flow_kernel": 3},
        {"kernel": 1, "flow_kernel": 1, "heads": 1, "window": 40},
    ],
)
@pytest.mark.parametrize("frames", [1, 2, 31, 64, 65, 300])
def test_every_size_agrees_with_the_cpu(changes, frames):
    """Mixed speakers; noise from a seed and from the caller."""
    config = RvcConfig(**SMALL | changes)
    model, heard = random(config), features(frames, config)
    cpu, gpu = cpu_sampler(model), sampler(model)
    voice = cpu.condition.speaker({0: 0.25, 3: 0.75})
    for noise in (seeded(config=config), noise_from([torch.randn(frames, config.mel.bins)])):
        got = poisoned(gpu, lambda noise=noise: gpu(heard, voice, 1, noise))
        assert got.dtype == torch.float32 and relative(got, cpu(heard, voice, 1, noise)) < BOUND


@pytest.mark.parametrize("file, case", [pair for pair in rvc_golden.CASES if "live" not in pair[1]])
def test_golden(file, case):
    """Upstream's numbers; its coarse pitch as the f0 that has it."""
    golden, model = rvc_golden.case(case), rvc_golden.voice(rvc_golden.read(file)).acoustic
    form, frames = sampler(model), golden["units"].shape[1]
    coarse = golden["pitch"][0] if model.config.pitch else torch.ones(frames, dtype=torch.int64)
    f0_hz = f0_of(coarse)
    assert torch.equal(coarse_pitch(f0_hz), coarse)
    heard = Features(golden["units"][0], torch.arange(frames), f0_hz, f0_hz > 0, torch.zeros(frames))
    prior = form.encoding(heard)(0, frames)
    z_p = form.drawn(prior, golden["noise_z"][0], model.config.noise_scale)
    z = form.flow(z_p, form.condition.speaker({int(golden["sid"]): 1.0}))
    found = dict(zip(("m_p", "logs_p"), prior.chunk(2, dim=-1))) | {"z_p": z_p, "z": z}
    errors = {name: relative(value, golden[name][0]) for name, value in found.items()}
    assert max(errors.values()) < BOUND, errors


def f0_of(coarse):
    """A pitch in the middle of each row of the embedding."""
    low, high = (1127 * math.log1p(hz / 700) for hz in (50.0, 1100.0))
    mels = low + (coarse.double() - 1) * (high - low) / 254
    return (700 * torch.expm1(mels / 1127)).float()


@pytest.mark.parametrize("lengths", [(33, 33), (40, 1, 64), (9, 300, 31, 150, 280, 2, 64, 65, 3)])
def test_recordings_of_unequal_length_share_batches(pair, lengths):
    """Each gets what it gets alone from the CPU, with its own seed and margin."""
    cpu, gpu = pair
    recordings = [features(frames, CONFIG, margin=i % 3) for i, frames in enumerate(lengths)]
    voice, noises, done = cpu.condition.speaker({2: 0.5, 1: 0.5}), list(map(seeded, range(len(lengths)))), []
    together = poisoned(gpu, lambda: gpu.many(recordings, voice, 1, noises))
    gpu.many(recordings, voice, 1, noises, done.append)
    for heard, noise, latent in zip(recordings, noises, together, strict=True):
        assert relative(latent, cpu(heard, voice, 1, noise)) < BOUND
    assert done == sorted(done) and done[-1] == 1
    assert max(shape.batch for shape in gpu.network.encoders.by_shape) > 1
    assert len(gpu.network.flows.by_shape) < len(lengths)


@pytest.mark.parametrize("block", [None, 1, 17, 149])
@pytest.mark.parametrize("rows", [64, 128, 8192])
def test_the_flow_is_exact_in_pieces(pair, block, rows):
    cpu, gpu = pair
    gpu.buckets, heard = Buckets(rows), features(300, CONFIG)
    voice = cpu.condition.speaker({1: 1.0})
    got = poisoned(gpu, lambda: gpu(heard, voice, 1, seeded(), block=block))
    assert relative(got, cpu(heard, voice, 1, seeded())) < BOUND


@pytest.mark.parametrize("frames", [51, 57, 90])
def test_long_recordings_in_the_cpus_stretches(pair, monkeypatch, frames):
    """With its fades; short ones among them share their batches as before."""
    for name, value in {"WHOLE": 50, "KEEP": 20, "CONTEXT": 8, "FADE": 4}.items():
        monkeypatch.setattr(encoder, name, value)
    cpu, gpu = pair
    recordings = [features(count, CONFIG) for count in (20, frames, 33)]
    voice = cpu.condition.speaker({0: 1.0})
    together = poisoned(gpu, lambda: gpu.many(recordings, voice, 1, [seeded(seed) for seed in (4, 5, 6)]))
    for heard, seed, latent in zip(recordings, (4, 5, 6), together):
        assert relative(latent, cpu(heard, voice, 1, seeded(seed))) < BOUND
    noise = noise_from([torch.randn(frames, CONFIG.mel.bins)])
    assert relative(gpu(recordings[1], voice, 1, noise), cpu(recordings[1], voice, 1, noise)) < BOUND


def test_attention_is_the_same_for_few_queries_at_a_time(pair, monkeypatch):
    cpu, gpu = pair
    heard, voice = features(300, CONFIG), cpu.condition.speaker({0: 1.0})
    monkeypatch.setattr(network, "SCORES_PER_ROW", 1)
    assert relative(gpu(heard, voice, 1, seeded()), cpu(heard, voice, 1, seeded())) < BOUND
    (program,) = gpu.network.encoders.by_shape.values()
    assert program.most_scores < CONFIG.heads * 300 * 320
    assert len(attention.near_rows(torch.ones(21, 4))) == 24 and not attention.near_rows(torch.ones(21, 4))[21:].any()


@pytest.mark.parametrize("protect", [0.0, 0.25, 0.5])
def test_unvoiced_frames_are_protected_from_the_index(pair, protect):
    cpu, gpu = pair
    heard = features(41, CONFIG, protect=protect)
    heard = replace(heard, original_units=torch.randn_like(heard.units))
    voice = cpu.condition.speaker({0: 1.0})
    got = poisoned(gpu, lambda: gpu(heard, voice, 1, seeded()))
    assert relative(got, cpu(heard, voice, 1, seeded())) < BOUND
    bare = gpu(replace(heard, original_units=None), voice, 1, seeded())
    assert (relative(got, bare) < 1e-6) == (protect == 0.5)


@pytest.mark.parametrize("pitch", [True, False])
@torch.inference_mode()
def test_everything_stays_on_the_device(pitch):
    """The meta device has no values: reading one, or mixing devices, raises, and so would make a host wait."""
    config = replace(CONFIG, pitch=pitch)
    form = sampler(random(config), torch.float16, "meta")
    recordings = [features(frames, config, margin=5, protect=0.2) for frames in (30, 50, 9000)]
    recordings = [replace(one, units=one.units.to("meta"), original_units=one.units.to("meta")) for one in recordings]
    latents = form.many(recordings, form.condition.speaker({0: 1.0}), 1, [seeded(seed) for seed in (1, 2, 3)])
    assert [(latent.device.type, tuple(latent.shape)) for latent in latents] == [
        ("meta", (frames, config.mel.bins)) for frames in (30, 50, 9000)
    ]


def test_draws_of_another_deviation(pair):
    """In the graph where all have one; from the caller's side where recordings of one batch differ."""
    cpu, gpu = pair
    recordings = [features(frames, CONFIG) for frames in (40, 33)]
    voice = cpu.condition.speaker({0: 1.0})
    for scales in ((0.5, 0.5), (0.0, 0.0), (1.0, 0.25)):
        noises = [replace(seeded(seed), scale=scale) for seed, scale in enumerate(scales)]
        together = poisoned(gpu, lambda noises=noises: gpu.many(recordings, voice, 1, noises))
        for heard, noise, latent in zip(recordings, noises, together):
            assert relative(latent, cpu(heard, voice, 1, noise)) < BOUND
            assert (relative(latent, cpu(heard, voice, 1, seeded(noise.seed))) > 1e-3) == (noise.scale < 1)
