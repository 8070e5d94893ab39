"""Consistency distillation: its target, its order, who gets gradients, the EMA target, and a whole small run."""

import copy
import itertools

import numpy as np
import pytest
import torch
from histories import figures_of
from teachers import EDM, TINY, perfect, random_model, write_config
from toy_corpus import make

from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.training import checkpoint, consistency, diffusion, run
from fastsvc.training.consistency import StudentTask


def networks(frames=9):
    """A random model as D(x, σ), a batch, and its mask."""
    model = random_model()
    cond, valid = torch.randn(4, frames, 8), torch.ones(4, frames)
    return model, lambda m: lambda x, s: m.denoise(x, s, cond, valid), 0.5 * torch.randn(4, frames, 5), valid


def test_the_grid_ends_exactly_at_its_bounds():
    levels = diffusion.grid(EDM, 32)
    assert len(levels) == 32 and bool((levels.diff() > 0).all())
    assert levels[0] == torch.tensor(EDM.sigma_min) and levels[-1] == torch.tensor(EDM.sigma_max)
    root = levels.double() ** (1 / EDM.rho)
    torch.testing.assert_close(root.diff(), root.diff().mean().expand(31), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_with_two_levels_the_target_is_the_teachers_one_step_answer(solver):
    model, denoise, x0, valid = networks()
    levels, n, z = diffusion.grid(EDM, 2), torch.zeros(4, dtype=torch.int64), torch.randn_like(x0)

    def loss(student):
        same = denoise(model), denoise(model)
        return float(consistency.distillation_loss(student, *same, levels, n, x0, z, valid, solver))

    assert loss(denoise(model)) < 1e-5  # (σmin)² times the variance of the noise
    assert loss(lambda x, s: denoise(model)(x, s) + 0.1) == pytest.approx(0.01, rel=0.1)


def test_the_loss_of_a_fixed_network_falls_as_the_square_of_the_number_of_levels():
    generator = torch.Generator().manual_seed(1)
    means = torch.tensor([-0.8, 0.1, 0.9], dtype=torch.float64)
    x0 = means[torch.randint(3, (2000, 1, 1), generator=generator)]
    z = torch.randn(x0.shape, generator=generator, dtype=torch.float64)

    def fixed(x, sigma):
        return perfect(x[..., 0, 0], sigma)[:, None, None]

    def loss(points):
        levels = diffusion.grid(EDM, points).double()
        n = torch.randint(points - 1, (2000,), generator=generator)
        same = fixed, fixed, fixed
        return float(consistency.distillation_loss(*same, levels, n, x0, z, torch.ones(2000, 1), "euler"))

    few, some, many = loss(10), loss(40), loss(160)
    assert 7 < few / some < 30 and 10 < some / many < 25  # 16 each


def test_heun_takes_the_teacher_closer_to_its_trajectory():
    x, high, low = torch.randn(50, 1, 1).double() * 2, torch.full((50,), 1.0), torch.full((50,), 0.6)

    def denoise(x, sigma):
        return perfect(x[..., 0, 0], sigma)[:, None, None]

    fine, levels = x, torch.linspace(1.0, 0.6, 401)
    for a, b in itertools.pairwise(levels):
        fine = diffusion.solver_step(denoise, fine, a.expand(50), b.expand(50), "heun")
    error = {m: (diffusion.solver_step(denoise, x, high, low, m) - fine).abs().mean() for m in ("euler", "heun")}
    assert error["heun"] < 0.35 * error["euler"]


def test_only_the_student_gets_gradients():
    model, denoise, x0, valid = networks()
    student, target = copy.deepcopy(model), copy.deepcopy(model)
    for each in (model, student, target):
        each.denoiser.requires_grad_(True)
    n, z = torch.tensor([0, 5, 20, 30]), torch.randn_like(x0)
    loss = consistency.distillation_loss(
        denoise(student), denoise(target), denoise(model), diffusion.grid(EDM, 32), n, x0, z, valid
    )
    loss.backward()
    assert all(p.grad is None for m in (model, target) for p in m.parameters())
    grads = [p.grad for p in student.denoiser.parameters()]
    assert all(g is not None and g.isfinite().all() for g in grads) and max(float(g.abs().max()) for g in grads) > 0


@pytest.mark.parametrize("kind", ["l2", "huber"])
def test_padding_does_not_change_the_loss(kind):
    model, frames = random_model(), 7
    cond, x0, z = torch.randn(2, frames, 8), torch.randn(2, frames, 5), torch.randn(2, frames, 5)
    levels, n = diffusion.grid(EDM, 8), torch.tensor([2, 6])

    def loss(cond, x0, z, valid):
        def denoise(x, s):
            return model.denoise(x, s, cond, valid)

        def student(x, s):
            return denoise(x, s) * 1.1

        return consistency.distillation_loss(student, denoise, denoise, levels, n, x0, z, valid, "heun", kind)

    def longer(value, fill):
        return torch.cat([value, torch.full((2, 3, value.shape[2]), fill)], dim=1)

    mask = torch.cat([torch.ones(2, frames), torch.zeros(2, 3)], dim=1)
    padded = loss(longer(cond, 50.0), longer(x0, float("nan")), longer(z, 50.0), mask)
    torch.testing.assert_close(padded, loss(cond, x0, z, torch.ones(2, frames)), rtol=1e-5, atol=1e-7)


def test_tuning_levels_move_from_the_bottom_to_the_level_itself():
    t = torch.tensor([0.01, 0.5, 1.9, 3.0, 40.0])
    first, last = (diffusion.ect_lower_level(t, stage, EDM) for stage in (1, 8))
    assert bool((first[:3] == EDM.sigma_min).all()) and first[4] == pytest.approx(20.0)
    assert bool((last < t).all()) and bool((last > 0.9 * t).all())


def test_tuning_at_the_bottom_is_denoising():
    """With r = σmin the target is x0 itself."""
    model, denoise, x0, valid = networks()
    z, t = torch.randn_like(x0), torch.full((4,), 0.5)
    bottom = torch.full((4,), EDM.sigma_min)
    loss = consistency.tuning_loss(denoise(model), t, bottom, x0, z, valid)
    error = (denoise(model)(x0 + 0.5 * z, t) - x0).square().mean(dim=(1, 2)).sqrt() / 0.498
    assert float(loss) == pytest.approx(float(error.mean()), rel=1e-2)


# ---- whole runs


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """(corpus, path of a teacher that was trained on it for a moment)."""
    folder = tmp_path_factory.mktemp("taught")
    corpus = make(folder / "corpus")
    task = {"denoiser": TINY, "valid_crops": 4, "valid_frames": 48}
    task["edm"] = {"sigma_data": 0.1, "sigma_max": 20.0, "noise_scale": 10.0}
    optim = {"lr": 4e-3, "final_lr": 1e-4, "warmup": 20}
    run("teacher", write_config(folder / "teacher.yaml", corpus, steps=150, validate_every=150, optim=optim, task=task))
    return corpus, folder / "run" / "last.pt"


def student_task(taught, **changes):
    settings = {"teacher": str(taught[1]), "valid_crops": 4, "valid_frames": 48, **changes}
    return StudentTask(settings, taught[0], "cpu", batch_size=4, batch_frames=32)


@pytest.mark.slow
def test_the_student_starts_as_the_teachers_ema(taught):
    task = student_task(taught)
    ema = checkpoint.load(taught[1])["ema"]
    for model in (task.model, task.teacher, task.target):
        torch.testing.assert_close(dict(model.state_dict()), ema, rtol=0, atol=0)
    trained = {name for name, p in task.model.named_parameters() if p.requires_grad}
    assert trained and all(name.startswith("denoiser.") for name in trained)
    assert any(p.requires_grad for p in student_task(taught, train="all").model.condition.parameters())


def test_the_target_follows_after_the_step_and_rests_in_validation(taught):
    task = student_task(taught, target_decay=0.75)
    before = task.target.denoiser.skip_projection.weight.clone()
    task.model.denoiser.skip_projection.weight.data += 1.0
    task.after_step(0)
    moved = task.target.denoiser.skip_projection.weight.clone()
    torch.testing.assert_close(moved, before + 0.25)
    with torch.no_grad():
        figures = task.validate(task.model)
    torch.testing.assert_close(task.target.denoiser.skip_projection.weight, moved, rtol=0, atol=0)
    assert set(figures) >= {"mel_l1_1", "mel_l1_2", "mel_l1_4", "to_teacher_1", "teacher_l1_50"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{}, {"guidance": 1.5, "solver": "euler"}, {"train": "all", "distance": "huber"}, {"method": "ect"}],
    ids=["cd", "guided", "all-huber", "ect"],
)
def test_every_kind_of_loss_trains_its_part_only(taught, changes):
    task = student_task(taught, **changes)
    task.generator.manual_seed(0)
    batch = task.crops("train", np.random.default_rng(0), 4, 32)
    loss, _ = task._loss(batch, 0)
    loss.backward()
    assert loss.isfinite() and float(loss.detach()) > 0
    assert all(p.grad is None for m in (task.teacher, task.target) for p in m.parameters())
    assert task.model.denoiser.input_projection.weight.grad.abs().max() > 0
    assert (task.model.condition.unit_embed.weight.grad is not None) == (changes.get("train") == "all")


@pytest.mark.slow
def test_distilling_brings_one_step_to_the_teachers_fifty(taught, tmp_path):
    corpus, teacher = taught
    path = write_config(
        tmp_path / "student.yaml",
        corpus,
        steps=60,
        ema=0.9,
        validate_every=60,
        optim={"lr": 1e-3, "final_lr": 1e-4, "warmup": 5},
        task={"teacher": str(teacher), "points": 16, "valid_crops": 4, "valid_frames": 48},
    )
    start = student_task(taught)
    with torch.no_grad():
        before = start.validate(start.teacher)
    run("student", path)
    after = figures_of(tmp_path / "run" / "history.jsonl", "valid")[-1]
    assert after["to_teacher_1"] < 0.9 * before["to_teacher_1"]
    assert after["teacher_l1_50"] == pytest.approx(before["teacher_l1_50"], rel=1e-5)
    assert "target" in checkpoint.load(tmp_path / "run" / "last.pt", "student")["extra"]


def test_what_does_not_fit_is_refused(taught, tmp_path):
    with pytest.raises(ConfigError, match="task.teacher is missing"):
        StudentTask({}, taught[0], "cpu")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        StudentTask({"teacher": str(tmp_path / "none.pt")}, taught[0], "cpu")
    with pytest.raises(ConfigError, match="use heun or euler"):
        student_task(taught, solver="rk4")
    content = checkpoint.load(taught[1])
    torch.save({**content, "speakers": ["someone", "else"]}, tmp_path / "other.pt")
    with pytest.raises(ConfigError, match="has the singers someone, else"):
        StudentTask({"teacher": str(tmp_path / "other.pt")}, taught[0], "cpu")
