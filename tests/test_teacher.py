"""The EDM objective and the teacher: boundary, levels, masks, batches, overfitting."""

import math

import numpy as np
import pytest
import torch
from histories import figures_of
from teachers import EDM, TINY, random_model, write_config
from toy_corpus import MEL, make

from fastsvc.errors import ConfigError
from fastsvc.model import sampler
from fastsvc.training import checkpoint, diffusion, run, wavenet_train
from fastsvc.training.acoustic import gained
from fastsvc.training.teacher import TeacherTask, normalisation


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make(tmp_path_factory.mktemp("corpus") / "toy")


def test_at_sigma_min_the_model_is_the_identity():
    model, x = random_model(), torch.randn(2, 7, 5)
    cond = torch.randn(2, 7, 8)
    torch.testing.assert_close(model.denoise(x, EDM.sigma_min, cond), x, rtol=1e-6, atol=1e-6)
    assert (model.denoise(x, 0.5, cond) - x).abs().max() > 0.05

    def denoise(x, sigma):
        return model.denoise(x, sigma, cond)

    for steps in (1, 3):  # through the sampler: x enters as the noise of the first step, the others add none
        levels = torch.full((steps,), EDM.sigma_min, dtype=torch.float64)
        out = sampler.consistency(denoise, levels, lambda _: x / EDM.sigma_min, EDM.sigma_min)
        torch.testing.assert_close(out, x, rtol=1e-5, atol=1e-5)


def test_the_untrained_network_has_a_loss_of_about_one_at_every_level():
    """λ = 1/c_out² makes the levels equal; the network starts at zero output."""
    x0, z = 0.5 * torch.randn(64, 20, 8), torch.randn(64, 20, 8)
    for sigma in (0.02, 0.5, 5.0, 80.0):
        level = torch.full((64,), sigma)

        def denoise(x, s):
            return 0.25 / (s[:, None, None] ** 2 + 0.25) * x

        loss = float(diffusion.edm_loss(denoise, EDM, x0, level, z, torch.ones(64, 20)))
        assert loss == pytest.approx(1.0, abs=0.05)


def test_levels_cover_the_grid():
    generator = torch.Generator().manual_seed(0)
    mixed = diffusion.mixed_sigmas(20000, EDM, generator)
    assert EDM.sigma_min <= float(mixed.min()) and float(mixed.max()) <= EDM.sigma_max * 1.001
    expected = 0.2 * (1 - (10 ** (1 / 7) - 0.002 ** (1 / 7)) / (80 ** (1 / 7) - 0.002 ** (1 / 7)))
    assert float((mixed > 10).float().mean()) == pytest.approx(expected + 0.8 * 0.0017, abs=0.01)
    alone = diffusion.mixed_sigmas(20000, EDM, generator, share=0.0)
    assert float(alone.log().median()) == pytest.approx(-1.2, abs=0.05)


@pytest.mark.parametrize("extra", [1, 9])
def test_padding_does_not_change_the_loss(extra):
    model, frames = random_model(), 11
    x0, z, cond = torch.randn(2, frames, 5), torch.randn(2, frames, 5), torch.randn(2, frames, 8)
    sigma, valid = torch.tensor([0.1, 3.0]), torch.ones(2, frames)

    def loss(x0, z, cond, valid):
        return diffusion.edm_loss(lambda x, s: model.denoise(x, s, cond, valid), EDM, x0, sigma, z, valid)

    def longer(value, fill):
        tail = torch.full((2, extra, *value.shape[2:]), fill)
        return torch.cat([value, tail if fill != fill else tail * torch.randn_like(tail)], dim=1)

    padded = longer(x0, math.nan), longer(z, 100.0), longer(cond, 100.0)
    mask = torch.cat([valid, torch.zeros(2, extra)], dim=1)
    torch.testing.assert_close(loss(*padded, mask), loss(x0, z, cond, valid), rtol=1e-6, atol=1e-6)
    assert not torch.isclose(loss(longer(x0, 1.0), *padded[1:], torch.ones_like(mask)), loss(x0, z, cond, valid))


@pytest.mark.parametrize("frames", [1, 13])
@pytest.mark.parametrize("masked", [False, True])
def test_the_arrangement_for_training_is_the_specification(frames, masked):
    net = random_model().denoiser.requires_grad_(True)
    x, level, cond = torch.randn(3, frames, 5), torch.randn(3), torch.randn(3, frames, 8)
    valid = (torch.rand(3, frames) > 0.3).float() if masked else None
    pull, got = torch.randn(3, frames, 5), {}
    for name, form in (("spec", net), ("train", lambda *a: wavenet_train.forward(net, *a))):
        inputs = x.clone().requires_grad_(), cond.clone().requires_grad_()
        out = form(inputs[0], level, inputs[1], valid)
        grads = torch.autograd.grad((out * pull).sum(), [*inputs, *net.parameters()], allow_unused=True)
        got[name] = [out, *grads]
    for ours, specified in zip(got["train"], got["spec"]):
        if ours is None or specified is None:  # the last layer's residual goes nowhere
            assert ours is specified
        else:
            torch.testing.assert_close(ours, specified, rtol=1e-4, atol=1e-5)


def test_normalised_mel_has_the_wanted_deviation():
    mel = torch.randn(2000, 3, dtype=torch.float64) * torch.tensor([0.3, 1.0, 2.0]) + torch.tensor([-4.0, -1.0, 0.0])
    norm = normalisation(mel.mean(0), mel.std(0))
    low, high = torch.tensor(norm.low), torch.tensor(norm.high)
    x = (mel - low) / (high - low) * 2 - 1
    torch.testing.assert_close(x.std(0), torch.full((3,), 0.5, dtype=torch.float64), rtol=1e-4, atol=1e-4)
    assert float(x.mean(0).abs().max()) < 1e-4


def test_a_gain_moves_mel_and_volume_as_playing_louder_does(corpus):
    from fastsvc.audio.mel import log_mel

    audio = torch.from_numpy(corpus.items[0].audio / 32768.0).float()[None]
    mel = log_mel(audio, MEL)
    crop = gained({"mel": mel, "volume": torch.ones(1, len(mel[0]))}, torch.tensor([[6.0]]), MEL)
    torch.testing.assert_close(crop["mel"], log_mel(audio * 10**0.3, MEL), rtol=0, atol=2e-2)
    assert crop["volume"][0, 0] == pytest.approx(10**0.3)


def test_batches_line_up_with_the_recording(corpus):
    from fastsvc.audio.mel import log_mel

    task = TeacherTask({"denoiser": TINY, "valid_crops": 2, "valid_frames": 20}, corpus, "cpu")
    crop = task.crops("train", np.random.default_rng(3), 8, 17)
    assert crop["mel"].shape == (8, 17, MEL.bins) and crop["units"].shape == (8, 17, 3)
    assert task.speakers == ["high", "low"] and task.speaker_f0_hz == [260.0, 160.0]
    for mel, f0, singer in zip(crop["mel"], crop["f0_hz"], crop["singer"]):
        item, first = find(corpus, f0.numpy())
        assert item.singer == singer
        whole = log_mel(torch.from_numpy(item.audio / 32768.0).float()[None], MEL)[0]
        torch.testing.assert_close(mel, whole[first : first + 17], rtol=0, atol=1e-4)


def find(corpus, f0):
    for item in corpus.items:
        for first in range(item.frames - len(f0) + 1):
            if np.array_equal(item.f0_hz[first : first + len(f0)], f0):
                return item, first
    raise AssertionError("the crop is nowhere in the corpus")


def test_some_samples_are_trained_without_a_singer(corpus):
    task = TeacherTask({"denoiser": TINY, "speaker_dropout": 0.5, "valid_frames": 20}, corpus, "cpu")
    weights = task._dropped({"singer": torch.ones(400, dtype=torch.int64)})
    assert weights[:, 0].sum() == 0 and 150 < weights[:, 1].sum() < 250
    batch = task.crops("train", np.random.default_rng(0), 2, 9)
    table = task.model.condition.spk_embed.weight
    named = task.condition(task.model, batch) - task.condition(task.model, batch, task.no_singer(batch))
    torch.testing.assert_close(named, table[batch["singer"]][:, None].expand_as(named))


def test_unknown_keys_are_named(corpus):
    with pytest.raises(ConfigError, match="unknown key 'speaker_drop'"):
        TeacherTask({"speaker_drop": 0.1}, corpus, "cpu")


@pytest.mark.slow
def test_it_learns_four_clips_by_heart(corpus, tmp_path):
    steps = 320
    path = write_config(
        tmp_path / "teacher.yaml",
        corpus,
        steps=steps,
        validate_every=steps // 2,
        optim={"lr": 4e-3, "final_lr": 1e-4, "warmup": 20},
        task={
            "denoiser": TINY,
            "edm": {"sigma_data": 0.08, "noise_scale": 10.0, "sigma_max": 20.0},
            "augment": {"unit_noise": 0.0, "unit_dropout": 0.0, "gain_db": 0.0},
            "valid_crops": 8,
            "valid_frames": 64,
        },
    )
    run("teacher", path)
    figures = figures_of(tmp_path / "run" / "history.jsonl", "valid")[-1]
    spread = float(np.mean(corpus.mel_std))
    assert figures["mel_l1_heun9"] < 0.35 * spread  # always saying the mean gives about 0.8 of it
    assert figures["mel_l1_1"] < 0.25 * spread
    content = checkpoint.load(tmp_path / "run" / "last.pt", "teacher")
    assert content["speakers"] == ["high", "low"] and content["config"]["model"]["features"]["encoder"] == "toy"
