"""The student from recordings' own mels and an adversary: its losses, crops of others, small runs."""

import numpy as np
import pytest
import torch
from histories import figures_of
from teachers import TINY, write_config
from toy_corpus import make

from fastsvc.checkpoints import read
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.training import checkpoint, diffusion, run
from fastsvc.training.paired import others
from fastsvc.training.paired.task import PairedTask, changes

NOW = {"weight": 1.0, "start": 0.0, "ramp": 0.0}
EDM = {"sigma_data": 0.1, "sigma_max": 20.0, "noise_scale": 10.0}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make(tmp_path_factory.mktemp("corpus") / "toy")


@pytest.fixture(scope="module")
def teacher(corpus, tmp_path_factory):
    """A teacher of some seconds: its single step is far from the recordings, and too smooth."""
    folder = tmp_path_factory.mktemp("teacher")
    task = {"denoiser": TINY, "edm": EDM, "valid_crops": 4, "valid_frames": 48}
    optim = {"lr": 4e-3, "final_lr": 2e-4, "warmup": 5}
    path = write_config(
        folder / "t.yaml", corpus, steps=60, validate_every=60, optim=optim, task=task, out=str(folder / "run")
    )
    run("teacher", path)
    return folder / "run" / "last.pt"


def settings(teacher, **changes) -> dict:
    return {"method": "paired", "init": str(teacher), "channels": 8, "valid_crops": 4, "valid_frames": 48} | changes


def task_of(corpus, teacher, **changes) -> PairedTask:
    torch.manual_seed(0)
    task = PairedTask(settings(teacher, **changes), corpus, "cpu", batch_size=4, batch_frames=32)
    task.generator.manual_seed(0)
    return task


def test_others_are_sung_by_the_singers_here_in_their_range():
    crop = {"f0_hz": torch.full((64, 10), 100.0), "voiced": torch.ones(64, 10), "valid": torch.ones(64, 10)}
    crop["voiced"][0], crop["f0_hz"][1:, :2], crop["voiced"][1:, :2] = 0, 900.0, 0
    rows, medians = torch.tensor([1, 3]), torch.tensor([50.0, 200.0, 50.0, 0.0])
    sung = others.sung(crop, rows, medians, torch.Generator().manual_seed(0))
    assert set(sung["singer"].tolist()) == {1, 3} and bool(sung["other"].all())
    high = sung["singer"] == 1
    high[0] = False
    torch.testing.assert_close(sung["f0_hz"][high][:, 2:], torch.full((int(high.sum()), 8), 200.0))
    unknown = sung["singer"] == 3  # whose range is not known
    torch.testing.assert_close(sung["f0_hz"][unknown], crop["f0_hz"][unknown])
    torch.testing.assert_close(sung["f0_hz"][0], crop["f0_hz"][0])  # a crop without voice stays, too


def test_what_is_judged_and_what_is_compared(corpus, teacher):
    """Items with their own voice have a true mel; conversions and others are held and judged alone."""
    task = task_of(corpus, teacher, conversion=0.5, others=str(corpus.path), others_share=0.75)
    batch = task.batch(np.random.default_rng(0))
    assert batch["others_units"].shape[0] == 3 and batch["mel"].shape[0] == 4
    mixed = task._mixed(batch)
    assert mixed["other"].tolist() == [True, True, False, False, True, True, True]
    truth = task.model.normalise(batch["mel"])
    x = torch.cat([truth, torch.zeros(3, *truth.shape[1:])]).requires_grad_(True)
    values = task._values(mixed, x, truth)
    assert set(values) == {"mel", "hold"} and float(values["mel"].detach()) == 0  # judges come later
    task.progress = 0.5
    values = task._values(mixed, x, truth)
    assert set(values) == {"mel", "hold", "features", "adversarial"}
    assert float(values["features"].detach()) < 1e-6 < float(values["hold"].detach())
    pull = torch.autograd.grad(values["hold"], x, retain_graph=True)[0].abs().sum((1, 2))
    assert (pull > 0).tolist() == mixed["other"].tolist()
    moved = torch.cat([truth + 0.1, x[4:]]).detach().requires_grad_(True)
    pull = torch.autograd.grad(task._values(mixed, moved, truth)["features"], moved)[0].abs().sum((1, 2))
    assert (pull > 0).tolist() == [not other for other in mixed["other"]]
    figures = task._student_loss(batch, 0)[1]
    assert all(float(value) >= 0 for value in figures.values())


def test_without_conversions_and_others_every_item_has_its_true_mel(corpus, teacher):
    task = task_of(corpus, teacher)
    task.progress = 0.5
    batch = task.batch(np.random.default_rng(0))
    assert not task._mixed(batch)["other"].any()
    loss, figures = task._student_loss(batch, 0)
    loss.backward()
    assert set(figures) >= {"mel", "features", "adversarial"} and "hold" not in figures
    assert all(p.grad is not None for p in task.model.denoiser.input_projection.parameters())


@pytest.mark.slow
def test_a_distance_alone_comes_closer_and_judges_bring_the_detail(corpus, teacher, tmp_path):
    first = task_of(corpus, teacher)
    figures = {"first": first.validate(first.model)}
    off = {"features": {"weight": 0.0}, "adversarial": {"weight": 0.0}}
    judged = {"features": NOW, "adversarial": NOW | {"weight": 0.3}}
    for name, losses, steps in (("distance", off, [1]), ("judged", judged, [1, 2])):
        path = write_config(
            tmp_path / f"{name}.yaml",
            corpus,
            steps=100,
            validate_every=100,
            optim={"lr": 1e-3, "final_lr": 1e-4, "warmup": 5, "betas": [0.8, 0.99]},
            task=settings(teacher, steps=steps, losses=losses),
            out=str(tmp_path / name),
            ema=0.95,
        )
        run("student", path)
        figures[name] = figures_of(tmp_path / name / "history.jsonl", "valid")[-1]
    assert figures["distance"]["mel_l1_1"] < 0.9 * figures["first"]["mel_l1_1"]
    smooth, judged = (abs(1 - figures[name]["sharpness_bins_1"]) for name in ("distance", "judged"))
    assert judged < 0.6 * smooth
    found = read(tmp_path / "judged" / "last.pt")
    assert found.kind == "student" and [len(levels) for levels in found.config.edm.few_steps] == [1, 2]
    again = task_of(corpus, tmp_path / "judged" / "last.pt")  # a paired student is an init, too
    assert again.validate(again.model)["mel_l1_1"] == pytest.approx(figures["judged"]["mel_l1_1"], rel=1e-3)


@pytest.mark.slow
def test_a_resumed_run_repeats_the_uninterrupted_one_and_keeps_its_method(corpus, teacher, tmp_path):
    task = settings(teacher, losses={"features": NOW, "adversarial": NOW}, match_steps=2, others=str(corpus.path))
    common = {"validate_every": 4, "batch": {"size": 4, "frames": 32}, "task": task}
    common |= {"optim": {"lr": 1e-3, "schedule": "constant", "warmup": 0}}
    whole = write_config(tmp_path / "w.yaml", corpus, steps=8, out=str(tmp_path / "whole"), **common)
    run("student", whole)
    half = write_config(tmp_path / "h.yaml", corpus, steps=4, out=str(tmp_path / "parts"), **common)
    run("student", half)
    run("student", whole, out=tmp_path / "parts", resume=True)
    a, b = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "parts"))
    for part in ("model", "ema", "extra", "optimizer"):
        torch.testing.assert_close(a[part], b[part], rtol=0, atol=0)
    assert set(a["optimizer"]) == {"judges", "student"} and set(a["extra"]) == {"judges", "balance"}
    wider = write_config(tmp_path / "c.yaml", corpus, steps=9, **(common | {"task": task | {"channels": 16}}))
    with pytest.raises(CheckpointError, match="task.channels"):
        run("student", wider, out=tmp_path / "parts", resume=True)
    distilled = write_config(tmp_path / "d.yaml", corpus, steps=9, **(common | {"task": {"teacher": str(teacher)}}))
    with pytest.raises(CheckpointError):
        run("student", distilled, out=tmp_path / "parts", resume=True)
    cd = {"optim": {"lr": 1e-3}, "task": {"teacher": str(teacher), "valid_crops": 2}}
    run("student", write_config(tmp_path / "e.yaml", corpus, steps=2, out=str(tmp_path / "cd"), **cd))
    with pytest.raises(CheckpointError, match="by method cd, not paired"):
        run("student", whole, out=tmp_path / "cd", resume=True)


def test_a_small_batch_has_a_crop_of_others_and_one_of_its_own(corpus, teacher):
    options = {"conversion": 0.4, "others": str(corpus.path), "others_share": 0.1}
    torch.manual_seed(0)
    task = PairedTask(settings(teacher, **options), corpus, "cpu", batch_size=1, batch_frames=16)
    task.generator.manual_seed(0)
    task.progress = 0.5
    batch = task.batch(np.random.default_rng(0))
    assert task._mixed(batch)["other"].tolist() == [False, True]
    assert all(bool(torch.isfinite(value).all()) for value in task._student_loss(batch, 0)[1].values())


def test_figures_of_detail_leave_out_padding_and_what_has_none(corpus, teacher):
    torch.manual_seed(0)
    mel, valid = torch.randn(2, 20, 24), torch.ones(2, 20)
    valid[1, 9:] = 0
    padded = torch.where(valid[..., None] > 0, mel, -30.0)
    for axis in (1, 2):
        assert changes(padded, valid, axis) == pytest.approx(changes(mel, valid, axis)) != 0
        assert changes(mel, torch.ones(2, 20), axis) != pytest.approx(changes(mel, valid, axis), rel=1e-4)
        assert changes(torch.zeros(2, 20, 24), valid, axis) == 0
    assert changes(mel[:, :2], valid[:, :2], 1) == 0
    task = task_of(corpus, teacher, valid_frames=1)
    figures = task.validate(task.model)
    assert "sharpness_bins_1" in figures and "sharpness_time_1" not in figures
    task.valid["mel"] = torch.zeros_like(task.valid["mel"])
    assert set(task.validate(task.model)) == {"mel_l1_1"}


def test_who_holds_what_padding_is_worth_and_what_a_scale_does(corpus, teacher, monkeypatch):
    task = task_of(corpus, teacher, conversion=0.5)
    task.progress, asked, plain = 0.5, [], task.made
    monkeypatch.setattr(task, "made", lambda batch, choice, model=None: (asked.append(model), plain(batch, choice))[1])
    batch = task.batch(np.random.default_rng(0))
    task._student_loss(batch, 0)
    assert asked == [None, task.before]  # the student, and what holds it
    pulls = []
    for factor in (1.0, 0.5):
        monkeypatch.setattr(task.balance, "scale", lambda name, factor=factor: factor)
        task.generator.manual_seed(0)
        pulls.append(float(task._student_loss(batch, 0)[1]["pull_features"]))
    assert pulls[1] == pytest.approx(0.5 * pulls[0], rel=1e-3) and pulls[0] > 0
    mixed = task._mixed(batch)
    mixed["valid"][:, 20:] = 0
    x = torch.randn(4, 32, 24)
    noisy = torch.where(mixed["valid"][..., None] > 0, x, 99.0)
    for score, other in zip(task._judged(x, mixed)[0], task._judged(noisy, mixed)[0]):
        torch.testing.assert_close(score, other)


def test_what_the_settings_refuse(corpus, teacher, tmp_path):
    with pytest.raises(ConfigError, match=r"task\.init is missing"):
        PairedTask({"method": "paired"}, corpus, "cpu")
    with pytest.raises(ConfigError, match="leaves no item of a batch of 4 in its own voice"):
        task_of(corpus, teacher, conversion=0.9)
    with pytest.raises(ConfigError, match="conversion"):
        task_of(corpus, teacher, conversion=1.5)
    with pytest.raises(ConfigError, match="valid_crops"):
        task_of(corpus, teacher, valid_crops=0)
    with pytest.raises(ConfigError, match="mel has no weight"):
        task_of(corpus, teacher, losses={"mel": {"weight": 0.0}})
    with pytest.raises(ConfigError, match="mel cannot start late"):
        task_of(corpus, teacher, losses={"mel": {"start": 0.5}})
    with pytest.raises(ConfigError, match="no levels are known for 7"):
        task_of(corpus, teacher, steps=[1, 7])
    strange = make(tmp_path / "strange")
    described = (strange.path / "corpus.json").read_text()
    (strange.path / "corpus.json").write_text(described.replace('"toy"', '"tin"'))
    for path in (strange.path / "items").iterdir():
        arrays = dict(np.load(path)) | {"units_hash": "tin"}
        np.savez(path, **arrays)
    with pytest.raises(ConfigError, match="units of another encoder"):
        task_of(corpus, teacher, others=str(strange.path))
    with pytest.raises(ConfigError, match="use cd"):
        run("student", write_config(tmp_path / "x.yaml", corpus, steps=1, task={"teacher": "x.pt", "method": "pair"}))


def test_the_first_student_stays_what_it_was(corpus, teacher):
    """What conversions are held to is the init, whatever the student learns."""
    task = task_of(corpus, teacher, conversion=0.5)
    held = checkpoint.load(str(teacher), "teacher")["ema"]
    with torch.no_grad():
        for p in task.model.parameters():
            p += 0.1
    for name, value in task.before.state_dict().items():
        if name in held:
            torch.testing.assert_close(value, held[name])
    assert not any(p.requires_grad for p in task.before.parameters())
    made = diffusion.mel_l1(task.sampled(task.before, 1, "consistency"), task.valid["mel"], task.valid["valid"])
    assert made < diffusion.mel_l1(task.sampled(task.model, 1, "consistency"), task.valid["mel"], task.valid["valid"])
