"""Discriminators of patches: any size, the singer, and the losses that are made of their scores and features."""

import pytest
import torch

from fastsvc.training.paired import patches


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
