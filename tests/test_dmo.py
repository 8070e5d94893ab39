"""The DMO student's task: where it starts, and who learns what in whose turn."""

import pytest
import torch
from dmo_tasks import FEW, LEVELS, batch_of, dmo, moved
from studio import shared

from fastsvc.training import checkpoint
from fastsvc.training.fake import with_origin

pytestmark = pytest.mark.slow  # a studio is trained before the first test, and students after it


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return shared(tmp_path_factory)


# ---- where it starts


def test_it_starts_from_the_student_and_its_fake_score_from_the_teacher(studio):
    task = dmo(studio, **FEW)
    for network, name in ((task.model, "student"), (task.teacher, "teacher")):
        ema = checkpoint.load(studio.path(name))["ema"]
        torch.testing.assert_close(dict(network.state_dict()), ema, rtol=0, atol=0)
    fake, denoiser = task.fake.net.state_dict(), task.teacher.denoiser.state_dict()
    torch.testing.assert_close(dict(fake), dict(denoiser), rtol=0, atol=0)
    assert not task.fake.origin.weight.any()
    assert task.model.config.edm.few_steps == LEVELS
    assert task.teacher.config.edm.few_steps == ()
    trained = {name for name, p in task.model.named_parameters() if p.requires_grad}
    assert trained and all(name.startswith("denoiser.") for name in trained)
    plain = dmo(studio, init="")
    torch.testing.assert_close(dict(plain.model.state_dict()), dict(task.teacher.state_dict()), rtol=0, atol=0)


def test_at_first_the_scores_agree_and_distribution_matching_asks_for_nothing(studio):
    task = dmo(studio)
    _, figures = task._student_loss(batch_of(task), 0)
    assert float(figures["dmd"]) == 0 and float(figures["pull_dmd"]) == 0
    guided = dmo(studio, guidance=1.5)
    _, figures = guided._student_loss(batch_of(guided), 0)
    assert float(figures["dmd"]) > 0  # guidance is in the real score alone


# ---- the turns


def grads(task) -> dict[str, bool]:
    frozen = {f"listener {kind}": net for kind, net in task.listeners.items()}
    networks = {"student": task.model.denoiser, "fake": task.fake, "head": task.head, "teacher": task.teacher} | frozen
    found = {name: any(p.grad is not None for p in net.parameters()) for name, net in networks.items()}
    task.model.zero_grad(), task.fake.zero_grad(), task.head.zero_grad()
    return found


def test_each_turn_trains_its_own_network_and_no_other(studio):
    """Without the loop's freezing: the losses themselves keep to their own."""
    task = moved(dmo(studio, **FEW))
    batch = batch_of(task)
    alone = dict.fromkeys(grads(task), False)
    for name, loss in (
        ("fake", lambda: task._fake_loss(batch, 0, update=1)),
        ("head", lambda: task._head_loss(batch, 0)),
        ("student", lambda: task._student_loss(batch, 0)),
    ):
        value, _ = loss()
        assert value.isfinite() and float(value.detach()) > 0
        value.backward()
        assert grads(task) == alone | {name: True}
    all_of_it = moved(dmo(studio, train="all"))
    all_of_it._student_loss(batch, 0)[0].backward()
    assert all_of_it.model.condition.unit_embed.weight.grad.abs().max() > 0


def test_the_students_gradient_is_that_of_the_weighted_sum(studio):
    task = moved(dmo(studio, match_steps=1))
    batch, weights = batch_of(task), {}
    task._student_loss(batch, 0)  # measures the scales
    assert all(int(n) == (term.match != "none") for n, term in zip(task.balance.count, task.terms.values()))
    weights = {name: term.weight_at(0.0) * task.balance.scale(name) for name, term in task.terms.items()}
    assert weights["dmd"] == 1 and all(w > 0 for w in weights.values())

    task.generator.manual_seed(5)
    loss, figures = task._student_loss(batch, 0)
    loss.backward()
    got = task.model.denoiser.skip_projection.weight.grad.clone()
    task.model.zero_grad()

    task.generator.manual_seed(5)
    batch = task.student_batch(batch, task.choice(0, 0))
    x = task.chain(task.model, batch, task.choice(0, 0))
    total = sum(weights[name] * value for name, value in task._values(batch, x).items())
    total.backward()
    torch.testing.assert_close(got, task.model.denoiser.skip_projection.weight.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss.detach(), total.detach())
    assert float(figures["pull_ctc"]) <= 1.01 * float(figures["pull_dmd"]) * 3  # other noise than was measured on


def test_losses_come_in_their_order(studio):
    losses = {"adversarial": {"start": 0.2}, "ctc": {"start": 0.2}, "singer": {"start": 0.5}}
    task = moved(dmo(studio, losses=losses, head_lead=0.1, late_from=0.8, late_rate=0.2))
    batch, met = batch_of(task), {}
    for progress in (0.0, 0.11, 0.2, 0.6, 0.9):
        task.progress = progress
        turns = task.turns(3)
        assert [turn.name for turn in turns if turn.name != "head"] == ["fake"] * 5 + ["student"]
        met[progress] = (
            len(turns) == 7,
            set(task._values(with_origin(batch, 0), task.model.normalise(batch["mel"]))),
            turns[-1].lr_scale,
        )
    assert met[0.0] == (False, {"dmd"}, 1.0) and met[0.11] == (True, {"dmd"}, 1.0)
    assert met[0.2][1] == {"dmd", "adversarial", "ctc", "frames", "pitch"} and met[0.6][1] == set(task.terms)
    assert met[0.9][2] == 0.2


def test_updates_of_one_step_see_other_noise_and_all_steps_of_the_schedules(studio):
    task = dmo(studio, **FEW)
    batch = batch_of(task)
    first, second = (task.student_samples(batch, 0, update)[1] for update in (1, 1))
    assert (first - second).abs().mean() > 1e-3
    choices = {task.choice(step, update) for step in range(40) for update in range(3)}
    assert choices == {(0, 0), (1, 0), (1, 1), (1, 2), (1, 3)}
    assert task.choice(7, 2) == dmo(studio, **FEW).choice(7, 2)


def test_the_fake_score_is_told_which_evaluation_made_what_it_learns(studio):
    task = dmo(studio, **FEW)
    choices = [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3)]
    # The first evaluation makes the same in both schedules.
    assert [task.fake.origin_index(choice) for choice in choices] == [0, 0, 1, 2, 3]
    batch, step = batch_of(task), 0
    while task.choice(step, 1) != (1, 2):
        step += 1
    made, x = task.student_samples(batch, step, 1)
    assert made["origin"].tolist() == [2] * len(x)
    task._fake_loss(batch, step, update=1)[0].backward()
    touched = task.fake.origin.weight.grad.abs().sum(1) > 0
    assert touched.tolist() == [False, False, True, False]
    with torch.no_grad():
        task.fake.origin.weight[2] += 0.5
    noisy, sigma = torch.randn_like(x), x.new_full((len(x),), 0.3)
    with torch.no_grad():
        third, fourth = (task.fake_denoiser(made | {"origin": made["origin"] + k})(noisy, sigma) for k in (0, 1))
        plain = task.denoiser(task.teacher, task.condition(task.teacher, made), made["valid"])(noisy, sigma)
    torch.testing.assert_close(fourth, plain)  # its vector is still zero
    assert (third - fourth).abs().mean() > 1e-4


def test_padding_does_not_change_the_students_loss(studio):
    """Items of unequal length in one batch: what lies after their ends is not heard."""
    task = moved(dmo(studio))
    batch = batch_of(task)
    batch["valid"][1, 20:] = batch["valid"][2, 5:] = 0
    losses = []
    for fill in (0.0, 3.0):
        inside = batch["valid"][..., None] > 0
        other = {key: torch.where(inside, batch[key], fill) for key in ("mel", "units")}
        other |= {key: torch.where(inside[..., 0], batch[key], 100 + fill) for key in ("f0_hz", "volume")}
        task.generator.manual_seed(1)
        losses.append(task._student_loss(batch | other, 0)[0].detach())
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=1e-6)
