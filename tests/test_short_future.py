"""Networks that see less of the future than of the past: causal, and the same in every form."""

from dataclasses import replace

import golden
import numpy as np
import pytest
import torch
from test_engine_blocks import lowered_plan, sampler_of, tiny
from test_stream_layers import BLOCKS, by_blocks, encoder_of, one_pass

from fastsvc.artifact import engine_folder
from fastsvc.config.reach import Reach, is_short, reaches
from fastsvc.engine.cpu.denoiser_bf16 import Bf16Denoiser
from fastsvc.engine.cpu.sampler import SeededNoise
from fastsvc.engine.cpu.trials import plain_denoiser
from fastsvc.engine.stream.intake import Intake
from fastsvc.engine.stream.mels import MelMaker
from fastsvc.engine.stream.units import units_of
from fastsvc.errors import ConfigError
from fastsvc.features.f0 import path
from fastsvc.model.acoustic import AcousticModel
from fastsvc.model.modules import module
from fastsvc.training import wavenet_train
from fastsvc.training.live import taps


def short(future: int, cycle: int = 3, layers: int = 4):
    config = tiny(cycle, layers)
    return replace(config, denoiser=replace(config.denoiser, future_frames=future))


def test_the_first_layers_take_the_future():
    assert reaches([2, 1, 4], None) == [Reach(2, 2), Reach(1, 1), Reach(4, 4)]
    assert reaches([2, 1, 4], 4) == [Reach(2, 2), Reach(1, 1), Reach(7, 1)]
    assert reaches([2, 1], 0) == [Reach(4, 0), Reach(2, 0)]
    assert is_short(short(0)) and not is_short(tiny(), None)


@pytest.mark.parametrize("dilation, ahead", [(1, 1), (1, 0), (2, 1), (4, 0)])
def test_moved_taps_read_the_rows_that_they_read(dilation, ahead):
    """As far as those are within reach; later ones are the last row within reach."""
    weight, x = torch.randn(3, 2, 3), torch.randn(1, 2, 40)
    x[..., 20 + ahead + 1 :] = x[..., 20 + ahead, None]  # held
    whole = torch.nn.functional.conv1d(x, weight, padding=dilation, dilation=dilation)
    late = torch.nn.functional.pad(x, (2 * dilation - ahead, ahead))
    moved = torch.nn.functional.conv1d(late, taps.moved(weight, dilation, ahead), dilation=dilation)
    assert moved.shape == whole.shape
    if ahead in (0, dilation):  # taps fall onto taps
        assert torch.allclose(moved[..., 20], whole[..., 20], atol=1e-5)
    assert torch.allclose(taps.moved(weight, dilation, ahead).sum(2), weight.sum(2), atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("future", [0, 2, 5])
def test_units_of_a_short_future(future):
    """What comes later than that changes nothing; batches and valid rows are as each item alone."""
    encoder = encoder_of(future_frames=future)
    model, x = encoder.model, torch.randn(3, 50, 64)
    assert model.future_frames == future and model.trunk.halo_frames == 2 * (2 + 1 + 2 + 4 + 8 + 1) - future
    later = x.clone()
    later[:, 30 + future + 1 :] += 1
    same, changed = (model(y)[0] for y in (x, later))
    assert torch.equal(same[:, :31], changed[:, :31]) and not torch.allclose(same[:, 31], changed[:, 31])
    for frames in (1, 2, 37):
        alone = model(x[1:2, :frames])[0]
        valid = (torch.arange(50) < frames).float().expand(3, -1)
        assert torch.allclose(model(x, valid)[0][1, :frames], alone[0], atol=1e-6)
    model.train()
    assert torch.allclose(model(x)[0], same, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("block", [1, 3, 8])
def test_units_in_a_stream_need_no_more_than_the_future(block):
    encoder = encoder_of(future_frames=2)
    units, hop, audio = units_of(encoder), encoder.hop_samples, 0.1 * torch.randn(9600)
    whole, intake, total = encoder.encode(audio), Intake(16000, {16000}), 60
    intake.pushed.append(audio)
    intake.total = len(audio)
    for first in range(0, total, block):
        last = min((first + block - 1 + 2) * hop + 336, len(audio))
        found, begin = units.find(intake.at[16000], first, last, 1.0)
        units.settle()
        part = found[first - begin :][: min(block, total - first)]
        assert golden.relative_rms(part, whole[first : first + block]) < 1e-5, f"block from {first}"


@torch.inference_mode()
@pytest.mark.parametrize("future", [0, 1, 3])
@pytest.mark.parametrize("frames", [1, 7, 61])
def test_every_form_of_the_denoiser(future, frames):
    """The specification, the one for training, the lowered ones: the same numbers, and nothing from later frames."""
    plan = lowered_plan(short(future))
    config = plan.acoustic_config
    model = AcousticModel(config).eval()
    model.load_state_dict(plan.acoustic.tensors)
    lowered, level = sampler_of(plan).denoiser, plan.levels[0]
    x, cond = torch.randn(2, frames, 80), torch.randn(2, frames, 6)
    want = model.denoise(x, level, cond)
    trained = wavenet_train.forward(model.denoiser, x, torch.full((2,), 0.3), cond)
    assert torch.allclose(trained, model.denoiser(x, torch.full((2,), 0.3), cond), atol=1e-4)
    tensors = plan.tensors[engine_folder.WEIGHTS]
    half = Bf16Denoiser(tensors, config, plan.levels)
    for i in range(2):
        assert golden.relative_rms(lowered(x[i], level, lowered.prepare(cond[i])), want[i]) < 1e-5
        assert golden.relative_rms(plain_denoiser(tensors, config, x[i], level, cond[i]), want[i]) < 1e-5
        assert golden.relative_rms(half(x[i], level, half.prepare(cond[i])), want[i]) < 3e-2
    if frames > 40:
        later = x.clone()
        later[:, 30 + future + 1 :] += 1
        changed = model.denoise(later, level, cond)
        assert torch.equal(changed[:, :31], want[:, :31]) and not torch.allclose(changed[:, 31], want[:, 31])


@torch.inference_mode()
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("block", BLOCKS)
def test_mels_by_blocks_need_no_more_than_the_future(steps, block):
    model, cond = sampler_of(lowered_plan(short(1))), torch.randn(90, 6)
    want, maker = one_pass(model, cond, steps), MelMaker(model, steps, SeededNoise(3, 80))
    for span, mel_end, _, mel in by_blocks(maker, cond, block, steps + 2, extra=2):
        assert golden.relative_rms(mel, want[span.first : mel_end]) < 1e-6, f"block from {span.first}"


def test_a_path_decides_by_its_future_alone():
    rng = np.random.default_rng(0)
    f0_hz, cost = 100 + 300 * rng.random((2, 60, 4)), rng.random((2, 60, 4))
    whole = path.best_path(f0_hz, cost, 0.01, **path.COSTS)
    for future in (0, 1, 3):
        decided = path.best_path(f0_hz, cost, 0.01, **path.COSTS, future=future)
        for frame in range(60):
            part = slice(None), slice(frame + future + 1)
            part = path.best_path(f0_hz[part], cost[part], 0.01, **path.COSTS)
            assert np.array_equal(decided[:, frame], part[:, frame])
        assert future or not np.array_equal(decided, whole)
    assert np.array_equal(path.best_path(f0_hz, cost, 0.01, **path.COSTS, future=59), whole)


def test_configurations_that_cannot_be():
    with pytest.raises(ConfigError, match="future_frames is for architecture conv"):
        encoder_of(future_frames=2, mean_frames=3)
    with pytest.raises(ConfigError, match="future_frames is -1"):
        short(-1)
    assert module("recogniser", encoder_of().model.config).future_frames == encoder_of().model.halo_frames
