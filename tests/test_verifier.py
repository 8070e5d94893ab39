import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from phone_corpus import MEL, PhoneCorpus, train

from fastsvc.config import VerifierConfig, from_dict, to_dict
from fastsvc.errors import ConfigError
from fastsvc.model.verifier import AngularMargin, Verifier
from fastsvc.training.augment import NONE
from fastsvc.training.singer import MILD, SingerTask, _shares, equal_error_rate

ARCHITECTURES = ("tdnn", "conv2d")


def model_of(architecture):
    return Verifier(VerifierConfig(mel=MEL, channels=32, layers=2, embedding=12, architecture=architecture)).eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("frames", [1, 2, 45])
def test_embeddings_have_length_one(architecture, frames):
    embedding = model_of(architecture)(torch.randn(3, frames, 40))
    assert embedding.shape == (3, 12)
    assert torch.allclose(embedding.norm(dim=1), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_and_level_change_nothing_and_timbre_does(architecture):
    model = model_of(architecture)
    mel = torch.randn(2, 53, 40)
    valid = torch.arange(53)[None] < torch.tensor([[53], [30]])
    both = model(mel, valid)
    assert torch.allclose(both[1], model(mel[1:, :30])[0], atol=1e-5)
    assert torch.allclose(both[0], model(mel[:1])[0], atol=1e-5)
    assert torch.allclose(model(mel + 0.7), model(mel), atol=1e-4)
    tilt = torch.linspace(-1, 1, 40)
    assert (model(mel + tilt) - model(mel)).abs().max() > 1e-3


def test_margin_zero_is_a_softmax_over_cosines_and_a_margin_costs():
    head = AngularMargin(12, 5, margin=0.2, scale=30.0)
    embedding = torch.nn.functional.normalize(torch.randn(7, 12), dim=1)
    target = torch.arange(7) % 5
    plain = torch.nn.functional.cross_entropy(30 * head.cosines(embedding), target)
    assert torch.allclose(head(embedding, target, margin=0.0), plain, atol=1e-5)
    assert head(embedding, target) > plain


def test_margin_is_added_to_the_angle_of_the_true_class():
    head = AngularMargin(2, 2, scale=1.0)
    head.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    angle = 0.4
    embedding = torch.tensor([[math.cos(angle), math.sin(angle)]])
    moved = torch.tensor([[math.cos(angle + 0.2), math.sin(angle)]])
    expected = torch.nn.functional.cross_entropy(moved, torch.tensor([0]))
    assert torch.allclose(head(embedding, torch.tensor([0])), expected, atol=1e-6)


def test_loss_falls_steadily_with_the_angle_also_near_its_largest():
    head = AngularMargin(2, 2, scale=1.0)
    head.weight.data = torch.tensor([[1.0, 0.0], [-1.0, 1e-3]])
    angles = torch.linspace(0.01, math.pi - 0.01, 60)
    embeddings = torch.stack([angles.cos(), angles.sin()], dim=1)
    cosines = [float(head(e[None], torch.tensor([0])).detach()) for e in embeddings]
    assert all(b > a for a, b in itertools.pairwise(cosines))


def test_equal_error_rate_of_known_cases():
    singer = torch.tensor([0, 0, 1, 1])
    perfect = (singer[:, None] == singer[None]).float()
    assert equal_error_rate(perfect, singer) <= 0.25  # two genuine pairs: the rate moves in halves
    assert equal_error_rate(-perfect, singer) >= 0.5
    many = torch.arange(400) % 4
    assert abs(equal_error_rate(torch.randn(400, 400), many) - 0.5) < 0.03
    clear = (many[:, None] == many[None]).float() + 0.01 * torch.randn(400, 400)
    assert equal_error_rate(clear, many) < 0.01
    assert math.isnan(equal_error_rate(torch.ones(1, 1), torch.tensor([0])))


def test_shares_use_the_whole_batch():
    assert _shares(32, 3) == [16, 8, 8]
    for size in (1, 2, 7, 32):
        for parts in (1, 2, 3, 4):
            assert sum(_shares(size, parts)) == size


def task_of(**changes):
    model = {"channels": 24, "layers": 2, "embedding": 8}
    return SingerTask(
        {"model": model, "valid_batches": 1} | changes, PhoneCorpus(), "cpu", batch_size=8, batch_frames=40
    )


@pytest.mark.slow
def test_training_tells_the_singers_apart():
    task = task_of(
        stretches=[1.0], augment={"gain_db": [-10.0, 0.0], "tilt_db": 2.0, "equaliser_db": 2.0, "noise": 0.0}
    )
    history = train(task, 40, lr=5e-3)
    assert history[-1]["loss_singer"] < 0.6 * history[0]["loss_singer"]
    figures = task.validate(task.model.eval())
    assert figures["accuracy"] >= 0.8 and figures["equal_error_rate"] <= 0.25


def test_the_same_singer_at_another_pitch_is_the_same_singer():
    """What training calls one voice: harmonics an octave apart, formants where they were."""
    low, high = (task_of(stretches=[1.0], augment=to_dict(replace(NONE, pitch=(r, r)))) for r in (0.7, 1.4))
    lower, higher = (task.batch(np.random.default_rng(3)) for task in (low, high))
    assert torch.equal(lower["class"], higher["class"]) and set(lower["class"].tolist()) <= {0, 1}
    fine = [torch.fft.rfft(item["mel"] - item["mel"].mean(2, keepdim=True), dim=2).abs() for item in (lower, higher)]
    broad = [f[:, :, 1:4].mean() for f in fine]
    assert abs(float(broad[0] / broad[1]) - 1) < 0.25  # formants, over which the bins change slowly
    assert (lower["mel"] - higher["mel"]).abs().mean() > 0.1
    assert MILD.pitch == (0.75, 1.33)  # what `fastsvc train singer` does unless told otherwise


def test_stretched_copies_are_singers_of_their_own():
    task = task_of()
    batch = task.batch(np.random.default_rng(0))
    assert batch["mel"].shape[0] == 8 and batch["mel"].shape[2] == 40
    assert (
        (batch["class"][:4] < 2).all()
        and (batch["class"][4:6] // 2 == 1).all()
        and (batch["class"][6:] // 2 == 2).all()
    )
    assert task.margin.weight.shape[0] == 6
    again = task.batch(np.random.default_rng(0))
    assert torch.equal(batch["mel"], again["mel"])


def test_checkpoint_names_the_singers():
    task = task_of()
    config = from_dict(VerifierConfig, task.config_for_checkpoint())
    assert config.singers == ("ada", "bruno") and config.mel == MEL
    with pytest.raises(ConfigError, match="architecture"):
        VerifierConfig(architecture="lstm")
