"""Discriminators of patches: any size, the singer, the losses of their scores and features; the coarse distance."""

import pytest
import torch

from fastsvc.training.paired import patches
from fastsvc.training.paired.task import coarse_distance


@pytest.mark.parametrize("shape", [(1, 1, 24), (3, 7, 5), (2, 64, 80)])
def test_judges_score_patches_of_any_size_and_know_the_singer(shape):
    torch.manual_seed(0)
    judges, mel = patches.Patches(singers=3, channels=4), torch.randn(shape)
    singer = torch.zeros(len(mel), dtype=torch.int64)
    scores, activations = judges(mel, singer)
    assert len(scores) == 2 and all(score.shape[0] == len(mel) and score.numel() for score in scores)
    assert len(activations) == sum(map(len, patches.Patches.STRIDES))
    torch.testing.assert_close(patches.mean(judges(mel, singer + 1)[0]), patches.mean(scores))  # rows start at zero
    with torch.no_grad():
        judges.judges[0].singers.weight[1] = 10.0
        known = patches.mean(judges(mel, singer + 1)[0])
    assert abs(float(known - patches.mean(scores).detach())) > 0.01
    assert set(judges.tables()) <= set(judges.state_dict()) and len(judges.tables()) == 2
    assert not patches.Patches(singers=1, channels=4).tables()


def test_the_losses_are_least_where_they_should_be():
    real, made = [torch.ones(2, 3, 4), torch.ones(2, 1, 1)], [torch.zeros(2, 3, 4), torch.zeros(2, 1, 1)]
    assert float(patches.judge_loss(real, made)) == 0 and float(patches.judge_loss(made, real)) == 2
    assert float(patches.student_loss(real)) == 0 and float(patches.student_loss(made)) == 1
    layers = [torch.randn(2, 4, 8, 8), 100 * torch.randn(2, 4, 4, 4)]
    assert float(patches.feature_distance(layers, layers)) == 0
    # Every layer counts by its own size.
    assert float(patches.feature_distance(layers, [0 * layer for layer in layers])) == pytest.approx(1)
    learnt = [layer.clone().requires_grad_() for layer in layers]
    patches.feature_distance(layers, learnt).backward()
    assert all(layer.grad is not None for layer in learnt)


def test_the_colour_of_a_voice_is_no_distance_and_what_it_says_is():
    torch.manual_seed(0)
    x, valid = torch.randn(2, 37, 24), torch.ones(2, 37)
    valid[1, 20:] = 0
    colour = torch.randn(2, 1, 24)
    assert float(coarse_distance(x, x + colour, valid)) < 1e-6
    later = torch.roll(x, 8, dims=1)
    assert float(coarse_distance(x, later, valid)) > 0.1
    padded = torch.where(valid[..., None] > 0, x, torch.nan)
    assert float(coarse_distance(padded, x, valid)) == 0  # nothing of the padding counts
    detail = x + 0.5 * torch.tensor([1.0, -1.0]).repeat(12)  # from bin to bin
    assert float(coarse_distance(x, detail, valid)) < 1e-6
    one = torch.randn(1, 1, 24)
    assert float(coarse_distance(one, one + 1, torch.ones(1, 1))) == pytest.approx(0, abs=1e-6)
