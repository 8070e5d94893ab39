import itertools

import numpy as np
import pytest
import torch
from phone_corpus import PhoneCorpus, train

from fastsvc.config import RecogniserConfig, from_dict
from fastsvc.errors import ConfigError
from fastsvc.model.recogniser import Recogniser, collapse, decode, edit_distance
from fastsvc.training import losses
from fastsvc.training.augment import NONE
from fastsvc.training.recogniser import RecogniserTask, score

PHONES = ("<blank>", "aa", "iy", "ow")


def small(architecture="conv", **changes):
    defaults = {"phones": PHONES, "channels": 16, "layers": 2, "bottleneck": 6, "architecture": architecture}
    return RecogniserConfig(**(defaults | changes))


def model_of(config):
    return Recogniser(config).eval()


def log_mel_like(batch, frames):
    return torch.randn(batch, frames, 64) - 2


@pytest.mark.parametrize("architecture", ["conv", "gru"])
@pytest.mark.parametrize("frames", [1, 2, 37])
def test_shapes_and_range_for_any_length(architecture, frames):
    units, logits = model_of(small(architecture))(log_mel_like(3, frames))
    assert units.shape == (3, frames, 6) and logits.shape == (3, frames, 4)
    assert units.abs().max() < 1


def test_a_unit_depends_on_frames_within_the_halo_and_no_others():
    model = model_of(small(layers=4, kernel=5))
    halo = model.halo_frames
    assert halo == 2 + 2 * (1 + 2 + 4 + 8)
    mel = log_mel_like(1, 2 * halo + 21).requires_grad_(True)
    model(mel)[0][0, halo + 10].sum().backward()
    seen = mel.grad[0].abs().sum(1) > 0
    assert seen[10] and seen[2 * halo + 10]
    assert not seen[:10].any() and not seen[2 * halo + 11 :].any()


@pytest.mark.parametrize("architecture", ["conv", "gru"])
def test_padding_with_a_mask_changes_nothing_within_the_recording(architecture):
    model = model_of(small(architecture))
    mel = log_mel_like(2, 40)
    mel[1, 24:] = 7.0
    valid = torch.arange(40)[None] < torch.tensor([[40], [24]])
    both = model(mel, valid)[0]
    if architecture == "conv":  # a backward recurrence starts at the end of what it is given
        assert torch.allclose(both[1, :24], model(mel[1:, :24])[0][0], atol=1e-5)
    assert torch.allclose(both[0], model(mel[:1])[0][0], atol=1e-5)
    other = mel.clone()
    other[1, 24:] = -3.0
    assert torch.equal(model(other, valid)[0][1, :24], both[1, :24])


def test_blur_reaches_the_logits_and_not_the_units():
    model = model_of(small())
    mel, blur = log_mel_like(1, 9), torch.ones(1, 9, 6)
    units, logits = model(mel)
    same, moved = model(mel, blur=blur)
    assert torch.equal(units, same)
    assert torch.allclose(moved - logits, model.head.weight.sum(1).expand(1, 9, 4), atol=1e-5)


def test_default_size_is_about_two_million():
    parameters = sum(p.numel() for p in Recogniser(RecogniserConfig(phones=PHONES)).parameters())
    assert 1.8e6 < parameters < 2.6e6


def test_collapse_and_edit_distance():
    assert collapse([0, 3, 3, 0, 3, 1, 1, -1, 1]) == [3, 3, 1, 1]
    assert collapse([]) == []
    assert edit_distance([1, 2, 3], [1, 3]) == 1
    assert edit_distance([], [1, 2]) == 2 and edit_distance([4], []) == 1
    assert edit_distance([1, 2, 3, 4], [2, 3, 5, 4]) == 2


def test_decoding_passes_over_flickers_and_keeps_phones():
    labels = [1] * 6 + [2] + [1] * 3 + [2] * 5 + [0] * 4 + [2] * 5
    logits = 3.0 * torch.nn.functional.one_hot(torch.tensor(labels), 4).float()
    assert decode(logits, 0.0) == [1, 2, 1, 2, 2]
    assert decode(logits, 4.0) == [1, 2, 2]
    assert decode(logits[:0]) == [] and decode(logits[:1]) == [1]


def test_decoding_finds_the_likeliest_path():
    logits = torch.randn(5, 3)
    log_p = torch.log_softmax(logits, dim=1)

    def worth(path):
        switches = sum(a != b for a, b in itertools.pairwise(path))
        return sum(float(log_p[t, label]) for t, label in enumerate(path)) - 0.7 * switches

    best = max(itertools.product(range(3), repeat=5), key=worth)
    assert decode(logits, 0.7) == collapse(best)


def test_losses_at_their_extremes():
    labels = torch.tensor([[1, 1, 2, 2, 3], [1, 2, -1, -1, 3]])
    sure = 30.0 * torch.nn.functional.one_hot(labels.clamp(min=0), 4).float()
    assert losses.frame_cross_entropy(sure, labels, 0.0) < 1e-6
    assert losses.ctc(sure, labels) < 1e-6  # frames right: the alignment is one of those that CTC adds up
    wrong = sure.roll(1, dims=2)
    assert losses.frame_cross_entropy(wrong, labels, 0.0) > 20 and losses.ctc(wrong, labels) > 5
    changed = sure.clone()
    changed[1, 2:4] = 100 * torch.randn(2, 4)
    assert torch.equal(losses.frame_cross_entropy(changed, labels), losses.frame_cross_entropy(sure, labels))
    assert losses.ctc(changed, labels) == losses.ctc(sure, labels)
    unknown = torch.full_like(labels, -1)
    assert losses.frame_cross_entropy(sure, unknown) == 0 and losses.ctc(sure, unknown) == 0
    assert abs(float(losses.confusion(torch.zeros(2, 3, 7)))) < 1e-6
    assert losses.confusion(sure) > 5


def test_score_counts_frames_and_phones():
    labels = torch.tensor([[1, 1, 2, 2, -1, 3]])
    logits = 20.0 * torch.nn.functional.one_hot(torch.tensor([[1, 2, 2, 2, 1, 3]]), 4).float()
    assert score(logits, labels) == (4, 5, 0, 3)
    logits = 20.0 * torch.nn.functional.one_hot(torch.tensor([[1, 1, 3, 1, 1, 2]]), 4).float()
    assert score(logits, labels) == (2, 5, 3, 3)


def task_of(**changes):
    model = {"channels": 32, "layers": 2, "bottleneck": 8}
    return RecogniserTask({"model": model} | changes, PhoneCorpus(), "cpu", batch_size=6, batch_frames=48)


@pytest.mark.slow
def test_training_learns_the_phones():
    mild = {"time_masks": 0, "mel_masks": 0, "reverb": 0.0, "tempo": [0.9, 1.1]}
    task = task_of(valid_batches=1, augment=mild, blur=0.1)
    before = task.validate(task.model)
    history = train(task, 50, lr=6e-3)
    assert history[-1]["frame"] < 0.7 * history[0]["frame"]
    figures = task.validate(task.model.eval())
    assert figures["frame_accuracy"] > 0.8 > before["frame_accuracy"]
    assert figures["phone_error_rate"] < 0.5
    assert from_dict(RecogniserConfig, task.config_for_checkpoint()).phones == ("<blank>", "aa", "iy", "ow")


def test_batches_come_from_the_generator_alone():
    task = task_of()
    a, b = (task.batch(np.random.default_rng(7)) for _ in range(2))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert a["labels"].shape == a["mel"].shape[:2] and a["labels"].min() >= 1


def test_listener_and_recogniser_each_train_in_their_own_turn():
    task = task_of()
    batch = task.batch(np.random.default_rng(0))
    own, listener = task.turns(0)
    assert own.module is task.model and listener.module is task.listener is task.extra["listener"]
    own.loss(batch, 0)
    listener.loss(batch, 0)[0].backward()
    assert all(p.grad is None for p in task.model.parameters())
    assert all(p.grad is not None for p in task.listener.parameters())


def test_labels_follow_the_tempo():
    task = task_of()
    task.settings = task.settings.__class__(model=task.settings.model, augment=NONE)
    crops = PhoneCorpus().batch(np.random.default_rng(1), "train", 2, 48)
    batch = task.perturbed(crops, np.random.default_rng(1), NONE)
    for i in (0, 10, 50):  # frames of 10 ms, labels of 10.67 ms
        assert int(batch["labels"][0, i]) == 1 + int(crops["phone_labels"][0, int((i + 0.5) * 240 / 256)])


def test_bad_settings_are_named():
    with pytest.raises(ConfigError, match="architecture"):
        small("transformer")
    with pytest.raises(ConfigError, match="odd"):
        small(kernel=4)
    corpus = PhoneCorpus()
    corpus.phones = []
    with pytest.raises(ConfigError, match="no phones"):
        RecogniserTask({}, corpus, "cpu")
    with pytest.raises(ConfigError, match="bluur"):
        RecogniserTask({"bluur": 1.0}, PhoneCorpus(), "cpu")


def test_training_and_inference_compute_the_same():
    """Blocks convolve in another layout while they train: values and gradients agree."""
    torch.manual_seed(0)
    model = Recogniser(RecogniserConfig(phones=tuple("abc"), channels=16, layers=4, bottleneck=8))
    mel, inside = torch.randn(2, 37, 64), torch.arange(37) < torch.tensor([[37], [30]])
    results = []
    for mode in (model.train, model.eval):
        mode()
        model.zero_grad()
        units, logits = model(mel, inside)
        logits.square().sum().backward()
        results.append([units, logits, *(p.grad for p in model.parameters())])
    assert all(torch.allclose(a, b, atol=1e-5, rtol=1e-4) for a, b in zip(*results, strict=True))
