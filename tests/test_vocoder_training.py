import numpy as np
import pytest
import torch
from phone_corpus import PhoneCorpus, train

from fastsvc.config import VocoderConfig, from_dict
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.training import checkpoint, losses
from fastsvc.training.discriminator import Discriminators, PeriodDiscriminator
from fastsvc.training.vocoder import VocoderTask, even_out

SMALL = {
    "family": "openvpi",
    "initial_channels": 32,
    "upsample_rates": [8, 8, 4],
    "upsample_kernels": [16, 16, 8],
    "resblock": "2",
    "resblock_kernels": [3],
    "resblock_dilations": [[1, 3]],
}


class OneClip(PhoneCorpus):
    """Always the same crop."""

    def crop(self, rng, split, frames, singer=None):
        return super().crop(np.random.default_rng(0), split, frames, 0)


def task_of(corpus=None, size=2, frames=24, **changes):
    config = {"model": SMALL, "valid_batches": 1} | changes
    return VocoderTask(config, corpus or PhoneCorpus(), "cpu", batch_size=size, batch_frames=frames)


@pytest.mark.parametrize("change", [{"source": "none"}, {"speakers": 2}])
def test_what_only_foreign_voices_have_is_not_trained(change):
    with pytest.raises(ConfigError, match="can be trained"):
        task_of(model=SMALL | change)


@pytest.mark.slow
def test_overfits_one_clip():
    task = task_of(OneClip(), size=1, equaliser=0.0, adversarial_from=1.0, mel_noise=0.0)
    history = train(task, 80, lr=4e-3)
    first, last = history[0]["loss_generator"], np.mean([h["loss_generator"] for h in history[-5:]])
    assert last < 0.5 * first, (first, last)


def test_adversarial_turns_come_late_and_train_apart():
    task = task_of(adversarial_from=0.5, adversarial_items=1)
    task.progress = 0.4
    assert [turn.name for turn in task.turns(0)] == ["generator"]
    task.progress = 0.5
    generator, discriminators = task.turns(0)
    batch = task.batch(np.random.default_rng(0))
    loss, figures = generator.loss(batch, 0)
    assert {"stft", "mel", "fooled", "match"} <= set(figures)
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in task.model.parameters())
    task.model.zero_grad()
    task.discriminators.zero_grad()
    discriminators.loss(batch, 0)[0].backward()
    assert all(p.grad is None for p in task.model.parameters())
    assert all(p.grad is not None for p in task.discriminators.parameters())


def test_discriminators_learn_to_tell_noise_from_a_tone():
    judges = Discriminators(periods=(2, 3), sizes=(256,))
    optimizer = torch.optim.AdamW(judges.parameters(), lr=2e-3)
    real = 0.3 * torch.sin(torch.arange(2048) * 0.2)[None].expand(2, -1)
    history = []
    for _ in range(25):
        optimizer.zero_grad()
        (r, _), (f, _) = judges(real), judges(0.2 * torch.randn(2, 2048))
        loss = losses.discriminator_loss(r, f)
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert history[-1] < 0.4 * history[0]


def test_items_of_a_batch_are_judged_apart_and_in_order():
    audio = 0.1 * torch.randn(4, 1001)
    for judge in Discriminators(sizes=(256,)).judges:
        halves = judge(audio)[0].chunk(2)
        assert torch.allclose(halves[1], judge(audio[2:])[0], atol=1e-5)


def test_periods_fold_every_length():
    for samples in (64, 65, 67):
        score, layers = PeriodDiscriminator(3)(torch.randn(2, samples))
        assert score.shape[0] == 6 and len(layers) == 4


def test_losses_vanish_for_equal_sound_and_grow_with_distance():
    audio = 0.1 * torch.randn(2, 6000)
    assert losses.multi_resolution_stft(audio, audio) < 1e-5
    near = losses.multi_resolution_stft(audio + 0.001 * torch.randn(2, 6000), audio)
    far = losses.multi_resolution_stft(audio + 0.05 * torch.randn(2, 6000), audio)
    assert 0 < near < far
    assert losses.generator_loss([torch.ones(3)]) == 0 and losses.generator_loss([torch.zeros(3)]) == 1
    assert losses.discriminator_loss([torch.ones(3)], [torch.zeros(3)]) == 0
    layers = [[torch.randn(2, 3)]]
    assert losses.feature_matching(layers, layers) == 0
    silent = torch.zeros(1, 4000, requires_grad=True)
    losses.multi_resolution_stft(silent, torch.zeros(1, 4000)).backward()
    assert torch.isfinite(silent.grad).all()


def test_mel_matches_the_audio_of_the_batch_and_unvoiced_has_no_pitch():
    corpus = PhoneCorpus()
    task = task_of(corpus, equaliser=1.0)
    batch = task.batch(np.random.default_rng(3))
    from fastsvc.audio.mel import log_mel

    assert torch.allclose(batch["mel"], log_mel(batch["audio"], corpus.mel), atol=1e-5)
    assert batch["audio"].abs().max() <= 1.0
    crops = corpus.batch(np.random.default_rng(0), "train", 2, 24)
    crops["voiced"][:, :5] = False
    item = task._item(crops["audio"], crops)
    assert (item["f0_hz"][:, :5] == 0).all() and (item["f0_hz"][:, 5:] > 0).all()


def test_excitation_differs_between_items_and_repeats_with_its_generator():
    task = task_of()
    f0_hz = torch.full((2, 6), 200.0)
    a, b = (task.excitation(f0_hz, torch.Generator().manual_seed(1)) for _ in range(2))
    assert a.shape == (2, 6 * 256, 9) and torch.equal(a, b)
    assert not torch.allclose(a[0], a[1], atol=1e-2)


def test_validation_repeats_and_samples_can_be_heard():
    task = task_of()
    model = task.model.eval()
    with torch.no_grad():
        first, second = task.validate(model), task.validate(model)
        samples = task.samples(model)
    assert first == second and first["mel_l1"] > 0
    assert samples["0_vocoder"].audio.shape == samples["0_real"].audio.shape == (2 * 24 * 256,)


def test_checkpoint_config_rebuilds_the_generator():
    task = task_of()
    config = from_dict(VocoderConfig, task.config_for_checkpoint())
    assert config == task.model_config and config.mel == PhoneCorpus.mel


def test_last_layer_keeps_float32_under_autocast():
    task = task_of()
    batch = task.batch(np.random.default_rng(0))
    source = task.model.source(task.excitation(batch["f0_hz"]))
    with torch.autocast("cpu", torch.bfloat16):
        audio = task.model(batch["mel"], source)
    assert audio.dtype == torch.float32
    assert pytest.approx(0, abs=1e-12) != float((audio - audio.bfloat16().float()).abs().max())


def test_starts_from_another_vocoder_where_the_shapes_agree(tmp_path):
    def saved(name, tensors):
        about = {"kind": "vocoder", "step": 1, "config": {"model": {}}, "speakers": [], "speaker_f0_hz": []}
        checkpoint.save(tmp_path / name, **about, model=tensors, ema=tensors)
        return str(tmp_path / name)

    first = task_of().model
    init = saved("first.pt", first.state_dict())
    second = task_of(init=init, model=SMALL | {"source": "pulse"}).model
    assert torch.equal(second.conv_pre.weight, first.conv_pre.weight)
    assert second.m_source.l_linear.weight.shape == (1, 2) != first.m_source.l_linear.weight.shape
    with pytest.raises(CheckpointError, match="no tensor that fits"):
        task_of(init=saved("none.pt", {}))


def test_even_upsampling_answers_a_steady_mel_steadily():
    model = task_of().model
    bins, hop = model.config.mel.bins, model.config.mel.hop_samples
    mel, silence = torch.randn(1, 1, bins).expand(1, 30, bins), torch.zeros(1, 30 * hop)
    middle = slice(12 * hop, 18 * hop)
    with torch.no_grad():
        before = model(mel, silence)[:, middle].std()
        even_out(model)
        after = model(mel, silence)[:, middle].std()
        weights = [up.weight.clone() for up in model.ups]
        even_out(model)
    assert after < 1e-4 * before
    assert all(torch.allclose(a, up.weight, atol=1e-7) for a, up in zip(weights, model.ups)), "a projection"


def test_upsampling_is_kept_even_from_the_given_share_on():
    task = task_of(even_from=0.5)
    before = task.model.ups[0].weight.clone()
    task.progress = 0.4
    task.after_step(0)
    assert torch.equal(before, task.model.ups[0].weight)
    task.progress = 0.5
    task.after_step(0)
    assert not torch.equal(before, task.model.ups[0].weight)
