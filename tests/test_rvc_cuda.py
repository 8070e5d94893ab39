"""RVC's text encoder and flow in the GPU's form, run on a CPU: sizes, batches, stretches, cutting, short memory."""

import math
from dataclasses import replace

import pytest
import rvc_golden
import torch
from golden import relative
from rvc_cuda import CONFIG, SCALE, poisoned, sampler
from test_rvc_lowered import SMALL, features, random
from test_rvc_lowered import sampler as cpu_sampler

from fastsvc.config import RvcConfig
from fastsvc.engine.buckets import Buckets, Shape
from fastsvc.engine.cpu.rvc import encoder
from fastsvc.engine.cpu.sampler import Features, SeededNoise, noise_from
from fastsvc.engine.cuda import selfcheck, selfcheck_rvc
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.cuda.rvc import attention, batches, network
from fastsvc.errors import EngineError
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
    voice, seeds, done = cpu.condition.speaker({2: 0.5, 1: 0.5}), range(len(lengths)), []
    together = poisoned(gpu, lambda: gpu.many(recordings, voice, 1, seeds))
    gpu.many(recordings, voice, 1, seeds, done.append)
    for heard, seed, latent in zip(recordings, seeds, together, strict=True):
        assert relative(latent, cpu(heard, voice, 1, seeded(seed))) < BOUND
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
    together = poisoned(gpu, lambda: gpu.many(recordings, voice, 1, [4, 5, 6]))
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


def test_short_memory_makes_smaller_batches_and_a_message(pair, monkeypatch):
    cpu, gpu = pair
    gpu.buckets, limit, real = Buckets(1024), 512, gpu._encode

    def scarce(passes):
        if gpu.buckets.rows > limit:
            raise torch.OutOfMemoryError("no")
        return real(passes)

    monkeypatch.setattr(gpu, "_encode", scarce)
    heard, voice = features(600, CONFIG), cpu.condition.speaker({0: 1.0})
    with pytest.warns(UserWarning, match="batches of 512 frames"):
        got = gpu(heard, voice, 1, seeded())
    assert relative(got, cpu(heard, voice, 1, seeded())) < BOUND and gpu.network.rows == 512
    monkeypatch.setattr(gpu, "_encode", lambda passes: (_ for _ in ()).throw(torch.OutOfMemoryError("no")))
    with pytest.raises(EngineError, match="memory"):
        gpu(heard, voice, 1, seeded())


def test_graphs_are_made_beforehand(pair, monkeypatch):
    """Those that recordings need, largest first; then nothing is captured."""
    for name, value in {"WHOLE": 50, "KEEP": 20, "CONTEXT": 8, "FADE": 4}.items():
        monkeypatch.setattr(encoder, name, value)
    cpu, gpu = pair
    gpu.buckets, made, real, seen = Buckets(128), [], Graphs.capture, []
    monkeypatch.setattr(Graphs, "capture", lambda self, run: made.append(run.__self__) or real(self, run))
    groups = [[12, 44, 7], [57], [300, 20]]
    gpu.warm_up([1], groups, seen.append)
    assert seen == sorted(seen) and seen[-1] == 1 and len(made) == len(gpu.network.replays)
    sizes = [len(program.by_row[0]) if hasattr(program, "by_row") else program.f0_hz.numel() for program in made]
    split = len(gpu.network.encoders.replays)
    assert sizes[:split] == sorted(sizes[:split], reverse=True) and sizes[split:] == sorted(sizes[split:], reverse=True)
    before, voice = len(made), cpu.condition.speaker({0: 1.0})
    for group in groups:
        recordings = [features(count, CONFIG) for count in group]
        together = gpu.many(recordings, voice, 1, range(len(group)))
        for seed, (heard, latent) in enumerate(zip(recordings, together)):
            assert relative(latent, cpu(heard, voice, 1, seeded(seed))) < BOUND
    assert len(made) == before


def test_the_whole_ladder_is_prepared(pair):
    _, gpu = pair
    gpu.buckets = Buckets(512)
    gpu.warm_up([1])
    assert set(gpu.network.encoders.by_shape) == set(Buckets(512).shapes())
    assert list(gpu.network.flows.by_shape) == [512, 384, 256, 192, 128, 96, 64]
    assert len(gpu.network.replays) == len(Buckets(512).shapes()) + 7


def test_batches_hold_one_stretch():
    """Of the real sizes: nothing that goes through the encoder in one pass is longer than a batch."""
    assert max(end - begin for n in (encoder.WHOLE, 20000) for *_, begin, end in encoder.stretches(n)) <= batches.ROWS
    groups, buckets = [[400, 300, 20000, 6500, 250]], Buckets(batches.ROWS)
    shapes, rows = batches.shapes(groups, buckets, 24)
    assert shapes == [Shape(1, 8192), Shape(1, 6144), Shape(4, 512)]
    assert batches.encoder_groups(groups[0], buckets) == [[3], [0, 1, 4], [2]] and max(rows) == 8192


def test_self_check_names_what_differs(pair):
    cpu, gpu = pair
    stored = selfcheck_rvc.expected_layers(cpu, SCALE)
    check = selfcheck_rvc.traced
    selfcheck.check(stored, gpu, None, "fp32", check)
    weights = gpu.network.weights
    for tensor, name in [
        (weights.layers[0]["narrow.weight"], "mean"),
        (weights.prior[1][CONFIG.mel.bins :], "log of the deviation"),
        (weights.couplings[3]["conv.weight"], "flow"),
    ]:
        kept = tensor.clone()
        tensor.mul_(1.2)
        with pytest.raises(EngineError, match=rf"^{name} of the acoustic part \(PyTorch\) differs"):
            selfcheck.check(stored, gpu, None, "fp32", check)
        tensor.copy_(kept)
    for dtype, precision in ((torch.float16, "fp16"), (torch.bfloat16, "bf16")):
        selfcheck.check(stored, sampler(random(CONFIG), dtype), None, precision, check)


def test_stages_to_be_timed(pair):
    cpu, gpu = pair
    heard, voice = features(70, CONFIG), cpu.condition.speaker({0: 1.0})
    for noise in (seeded(), noise_from([torch.randn(70, CONFIG.mel.bins)])):
        stages = gpu.timed_stages(heard, voice, 1, noise)
        assert list(stages) == ["encoder", "flow"]
        for run in stages.values():
            run()
    (program,) = gpu.network.encoders.by_shape.values()
    assert relative(program.prior[0, :70], cpu.encoding(heard)(0, 70)) < BOUND
