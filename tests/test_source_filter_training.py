"""Training of the source-filter vocoder: its distance, its batches, and that a few steps bring the loss down."""

import numpy as np
import pytest
import torch
from phone_corpus import MEL, PhoneCorpus, train

from fastsvc.audio.mel import log_mel
from fastsvc.checkpoints import read
from fastsvc.config import SourceFilterConfig, vocoder_config
from fastsvc.errors import ConfigError
from fastsvc.model.source_filter import SourceFilter
from fastsvc.training import checkpoint
from fastsvc.training.source_filter import SourceFilterTask, _shape, blurred, faster
from fastsvc.training.spectral_distance import SIZES, energy_distance, levels, log_distance
from fastsvc.training.task import task_class
from fastsvc.training.vocoder import VocoderTask

SMALL = {"family": "source_filter", "channels": 16, "blocks": 1, "bands": 24}


def task_of(size=2, frames=24, **changes):
    config = {"model": SMALL, "valid_batches": 1} | changes
    return SourceFilterTask(config, PhoneCorpus(), "cpu", batch_size=size, batch_frames=frames)


def test_the_family_in_the_configuration_says_what_is_trained():
    assert task_class("vocoder", {"model": SMALL}) is SourceFilterTask
    assert task_class("vocoder", {"model": {"family": "openvpi"}}) is VocoderTask is task_class("vocoder", {})
    assert SourceFilterTask.kind == "vocoder"
    with pytest.raises(ConfigError, match="speeds"):
        task_of(speeds=[0.1, 9.0])
    with pytest.raises(ConfigError, match="even_from"):
        task_of(even_from=0.5)


def test_a_few_steps_lower_the_distance_of_unseen_crops():
    task = task_of(windows=len(SIZES), played=0.0, blurred=0.0, noisy=0.0, adversarial_from=1.0)
    with torch.no_grad():
        before = task.validate(task.model.eval())
    train(task, 12, lr=3e-3)
    with torch.no_grad():
        after = task.validate(task.model.eval())
    assert after["energy"] < 0.97 * before["energy"], (before, after)


def test_the_distance_is_least_for_draws_like_the_recording():
    generator = torch.Generator().manual_seed(0)

    def noise(level):
        return level * torch.randn(4, 8000, generator=generator)

    real = noise(0.1)
    right, wrong = ([energy_distance(real, noise(x), noise(x))[0] for x in levels] for levels in ((0.1,), (0.06, 0.16)))
    assert right[0] < min(wrong)
    tone = 0.14 * torch.sin(torch.arange(8000) * 0.3).expand(4, -1)
    assert right[0] < energy_distance(real, tone, tone)[0], "what does not vary is no noise"
    logs = [noise(1.0)[:, None] for _ in range(3)]
    assert abs(float(log_distance(*logs)) - float((logs[0] - logs[1]).abs().mean())) < 0.05


def test_levels_are_those_of_each_window():
    audio = 0.1 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(levels(2 * audio) - levels(audio), torch.full((2, 28, 1), 2.0).log(), atol=1e-4)
    assert levels(audio).mean() == pytest.approx(np.log(0.1), abs=0.05)
    assert torch.isfinite(levels(torch.zeros(1, 2048))).all()


def test_gains_that_are_alike_in_all_frames_cost_most():
    frames, hop = 50, 64
    steady = torch.ones(2, frames, hop, 2)
    ramp = torch.linspace(-0.2, 0.2, hop)[None, None, :, None].exp()
    turned = torch.ones(1, frames, 1, 1)
    turned[:, ::2] = -1
    none, alike, onsets = (_shape(g.flatten(1, 2), hop) for g in (2 * steady, ramp * steady, ramp**turned * steady))
    assert none < 1e-10 < onsets < 0.01 * alike


def test_adversarial_turns_come_late_and_reach_the_network():
    task = task_of(adversarial_from=0.5, adversarial_items=1)
    task.progress = 0.5
    generator, discriminators = task.turns(0)
    batch = task.batch(np.random.default_rng(0))
    loss, figures = generator.loss(batch, 0)
    assert {"energy", "mel_energy", "fooled", "match"} <= set(figures)
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in task.model.parameters())
    task.model.zero_grad()
    discriminators.loss(batch, 0)[0].backward()
    assert all(p.grad is None for p in task.model.parameters())


def test_batches_repeat_and_are_cut_to_size_at_every_speed():
    for speeds in ([0.8, 0.8], [1.5, 1.5]):
        task = task_of(played=1.0, speeds=speeds)
        one, two = (task.batch(np.random.default_rng(3)) for _ in range(2))
        assert all(torch.equal(one[name], two[name]) for name in one)
        assert one["audio"].shape == (2, 24 * MEL.hop_samples) and one["given"].shape == one["mel"].shape == (2, 24, 40)
        assert torch.allclose(one["mel"], log_mel(one["audio"], MEL), atol=1e-5)


def test_what_is_played_faster_is_as_much_higher():
    hop, frames = 256, 40
    times = torch.arange(60 * hop) / 24000
    crops = {"audio": torch.sin(2 * torch.pi * 300 * times)[None], "f0_hz": torch.full((1, 60), 300.0)}
    played = faster(crops | {"voiced": torch.ones(1, 60, dtype=torch.bool)}, 1.5, frames, hop)
    assert played["audio"].shape == (1, frames * hop) and played["voiced"].all()
    assert torch.equal(played["f0_hz"], torch.full((1, frames), 450.0))
    peak = torch.fft.rfft(played["audio"][0]).abs().argmax()
    assert float(peak) * 24000 / (frames * hop) == pytest.approx(450, abs=2)
    assert float(played["audio"].std()) == pytest.approx(0.707, rel=0.02)


def test_blurring_keeps_flat_mels_and_width_0_keeps_all():
    mel = torch.randn(2, 5, 40)
    out = blurred(mel, torch.tensor([0.0, 2.0]))
    assert torch.allclose(out[0], mel[0], atol=1e-6) and out[1].std() < 0.6 * mel[1].std()
    assert torch.allclose(blurred(torch.ones(1, 3, 40), torch.tensor([1.5])), torch.ones(1, 3, 40), atol=1e-6)


def test_a_checkpoint_is_read_and_gives_the_same_sound(tmp_path):
    task = task_of()
    torch.nn.init.normal_(task.model.leave.weight, std=0.1)
    tensors = task.model.state_dict()
    about = {"kind": "vocoder", "step": 3, "speakers": [], "speaker_f0_hz": []}
    config = {"model": task.config_for_checkpoint()}
    checkpoint.save(tmp_path / "v.pt", **about, config=config, model=tensors, ema=tensors)
    found = read(tmp_path / "v.pt")
    assert found.config == task.model_config == vocoder_config(config["model"])
    assert isinstance(found.config, SourceFilterConfig)
    model = SourceFilter(found.config)
    model.load_state_dict(found.tensors)
    item = task._item(torch.as_tensor(PhoneCorpus().batch(np.random.default_rng(0), "valid", 1, 9)["audio"]), BATCH)
    assert torch.equal(task._render(model, item, 1), task._render(task.model, item, 1))


BATCH = {"f0_hz": torch.full((1, 9), 200.0), "voiced": torch.ones(1, 9, dtype=torch.bool)}
