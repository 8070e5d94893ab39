"""Cutting changes nothing: mel and audio in short blocks equal one pass over everything."""

import dataclasses

import golden
import pytest
import torch

from fastsvc.artifact import engine_folder
from fastsvc.artifact.manifest import Sampling
from fastsvc.build.passes.fold import fold_pass
from fastsvc.build.passes.lower import lower_pass
from fastsvc.build.passes.read import check_pass
from fastsvc.build.plan import LoweredPlan, ReadPlan
from fastsvc.checkpoints import Checkpoint, read
from fastsvc.config import AcousticConfig, ConditionConfig, DenoiserConfig, FeatureConfig
from fastsvc.engine.cpu import denoiser_bf16
from fastsvc.engine.cpu.denoiser import CpuDenoiser
from fastsvc.engine.cpu.sampler import Features, MelSampler, SeededNoise, Synthesiser, noise_from
from fastsvc.model import noise, source
from fastsvc.model.modules import module

ONE_PASS = 10**6


def tiny(cycle: int = 3, layers: int = 4, channels: int = 12) -> AcousticConfig:
    return AcousticConfig(
        features=FeatureConfig(unit_channels=5),
        condition=ConditionConfig(unit_channels=5, channels=6, speakers=3, voicing=True),
        denoiser=DenoiserConfig(channels=channels, layers=layers, cond_channels=6, dilation_cycle=cycle),
    )


def lowered_plan(config: AcousticConfig, steps=(1, 2, 4)) -> LoweredPlan:
    """The passes up to lowering, on a random network."""
    shapes = {name: value.shape for name, value in module("student", config).state_dict().items()}
    tensors = {name: 1.8 * torch.randn(shape) / shape[1:].numel() ** 0.5 for name, shape in shapes.items()}
    tensors["denoiser.output_projection.weight"] = torch.randn(config.mel.bins, config.denoiser.channels, 1)
    none = golden.FOLDER / "none.pt"
    acoustic = Checkpoint(none, "fastsvc", "student", config, tensors)
    plan = ReadPlan(checkpoint=none, out=golden.FOLDER / "none.fsvc", steps=steps, acoustic=acoustic)
    return lower_pass(fold_pass(check_pass(plan)))


def sampler_of(plan: LoweredPlan) -> MelSampler:
    sampling = Sampling(plan.sampler, plan.schedules, plan.levels)
    return MelSampler(plan.tensors[engine_folder.WEIGHTS], plan.acoustic_config, sampling)


VOCODERS = ["m4gan_small/model_ckpt_steps_1970000.ckpt", "nsf_hifigan_small/model", "pc_nsf_small/model"]


def features(frames: int, channels: int = 5) -> Features:
    f0_hz = 100 + 300 * torch.rand(frames)
    voiced = torch.rand(frames) < 0.7
    places = torch.arange(frames) * 11 // max(frames, 1)
    return Features(torch.randn(11, channels), places, f0_hz, voiced, torch.rand(frames))


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("cycle", [1, 3])
def test_mel(steps, cycle):
    sampler = sampler_of(lowered_plan(tiny(cycle)))
    heard, voice = features(197), sampler.condition.speaker({1: 1.0})
    draw = SeededNoise(7, 80)
    whole = sampler(heard, voice, steps, draw, block=ONE_PASS)
    for block in (1, 20, 64, 196):
        if block == 1 and steps > 1:
            continue
        assert golden.relative(sampler(heard, voice, steps, draw, block=block), whole) < 1e-5


def test_mel_needs_its_halo():
    """The comparison above would notice a halo that is one frame short."""
    sampler = sampler_of(lowered_plan(tiny(1)))
    heard, voice, draw = features(60), sampler.condition.speaker({0: 1.0}), SeededNoise(0, 80)
    whole = sampler(heard, voice, 2, draw, block=ONE_PASS)
    sampler.denoiser.halo_frames -= 1
    assert golden.relative(sampler(heard, voice, 2, draw, block=20), whole) > 5e-5


@pytest.mark.slow
@pytest.mark.parametrize("file", VOCODERS)
def test_audio(file):
    checkpoint = read(golden.FOLDER / file)
    synthesise = Synthesiser(checkpoint.tensors, checkpoint.config)
    mel, f0_hz = torch.randn(150, checkpoint.config.mel.bins) - 2, 80 + 300 * torch.rand(150)
    if checkpoint.config.source != "sine":
        f0_hz[40:60] = 0
    whole = synthesise(mel, f0_hz, seed=3, block=ONE_PASS)
    assert float(whole.std()) > 1e-3
    for block in (7, 64, 149):
        assert golden.relative(synthesise(mel, f0_hz, seed=3, block=block), whole) < 1e-5
    # the specification, in one pass
    sines = source.seeded(f0_hz[None], checkpoint.config, seed=3)
    plain = module("vocoder", checkpoint.config)
    plain.load_state_dict(checkpoint.tensors)
    with torch.no_grad():
        draws = (
            noise.gaussian(3, 0, 0, 150, 16, stream=noise.FRAME_STREAM)[None] if checkpoint.config.noise_sigma else None
        )
        assert golden.relative(whole, plain(mel[None], plain.source(sines), draws)[0]) < 1e-5


@pytest.mark.parametrize("frames", [1, 2, 3, 17, 64])
@pytest.mark.parametrize("cycle, layers", [(1, 1), (1, 5), (4, 5)])
def test_denoiser_against_the_specification(frames, cycle, layers):
    config = tiny(cycle, layers)
    plan = lowered_plan(config, steps=(1, 3))
    model = module("student", config)
    model.load_state_dict(plan.acoustic.tensors)
    denoiser = CpuDenoiser(plan.tensors[engine_folder.WEIGHTS], config, plan.levels)
    denoiser(torch.randn(80, 80), plan.levels[0], denoiser.prepare(torch.randn(80, 6)))  # leaves rows in the buffers
    for buffer in denoiser.buffers.values():
        buffer.fill_(float("nan"))  # whatever is not written shows
    x, cond = torch.randn(frames, 80), torch.randn(frames, 6)
    with torch.no_grad():
        for keep in (1, 2):
            prepared = denoiser.prepare(cond, keep)
            for level in plan.levels:
                want = model.denoise(x[None] * level, level, cond[None])[0]
                assert golden.relative(denoiser(x * level, level, prepared), want) < 1e-5


@pytest.mark.skipif(not denoiser_bf16.supported(), reason="this processor has no bfloat16 units")
@pytest.mark.parametrize("frames", [1, 2, 17, 64])
@pytest.mark.parametrize("cycle", [1, 4])
def test_bf16_denoiser_is_no_worse_than_autocast(frames, cycle):
    plan = lowered_plan(tiny(cycle, 5), steps=(1, 3))
    model = module("student", plan.acoustic_config)
    model.load_state_dict(plan.acoustic.tensors)
    denoiser = denoiser_bf16.Bf16Denoiser(plan.tensors[engine_folder.WEIGHTS], plan.acoustic_config, plan.levels)
    denoiser(torch.randn(80, 80), plan.levels[0], denoiser.prepare(torch.randn(80, 6)))
    for buffer in denoiser.buffers.values():
        buffer.fill_(float("nan"))
    x, cond = torch.randn(frames, 80), torch.randn(frames, 6)
    prepared = denoiser.prepare(cond, 3)
    with torch.no_grad():
        for level in plan.levels:
            want = model.denoise(x[None] * level, level, cond[None])[0]
            with torch.autocast("cpu", torch.bfloat16):
                usual = model.denoise(x[None] * level, level, cond[None])[0]
            got = denoiser(x * level, level, prepared)
            assert golden.relative_rms(got, want) <= 2 * golden.relative_rms(usual, want) + 1e-6


def test_condition_matches_the_specification():
    config = tiny()
    plan = lowered_plan(config)
    sampler, model = sampler_of(plan), module("student", config)
    model.load_state_dict(plan.acoustic.tensors)
    heard = features(9)
    units = heard.units[heard.unit_indices]
    with torch.no_grad():
        mixed = torch.tensor([[0.0, 0.25, 0.75]])
        want = model.condition(units[None], heard.f0_hz[None], heard.volume[None], mixed, None, heard.voiced[None])[0]
    got = sampler.condition(
        units, heard.f0_hz, heard.volume, heard.voiced, sampler.condition.speaker({1: 0.25, 2: 0.75})
    )
    assert golden.relative(got, want) < 1e-6


def test_noise_given_equals_noise_seeded():
    sampler = sampler_of(lowered_plan(tiny()))
    heard, voice = features(30), sampler.condition.speaker({0: 1.0})
    draws = [noise.gaussian(5, step, 0, 30, 80) for step in range(2)]
    given = sampler(heard, voice, 2, noise_from(draws))
    assert torch.equal(given, sampler(heard, voice, 2, SeededNoise(5, 80)))
    other = dataclasses.replace(heard, f0_hz=heard.f0_hz * 1.5)
    assert not torch.allclose(given, sampler(other, voice, 2, noise_from(draws)))
