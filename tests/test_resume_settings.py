"""Going on with other settings or files: what may change, and what must not is one line."""

import json

import pytest
from calls import run as command
from places import TABLE, TINY, high_and_low, same

from fastsvc.errors import CheckpointError
from fastsvc.training import checkpoint
from fastsvc.training.loop import Trainer


@pytest.fixture
def place(tmp_path):
    return high_and_low(tmp_path)


def test_other_sizes_are_one_line_before_any_work(place, monkeypatch):
    place.train("teacher")
    config = place.config("teacher", task={"denoiser": TINY | {"channels": 16, "layers": 3}, "voicing": False})
    path = place.folder / "corpus" / "corpus.json"
    data = json.loads(path.read_text())
    data["encoder"] |= {"name": "other"}
    path.write_text(json.dumps(data))
    monkeypatch.setattr(Trainer, "__init__", lambda *_, **__: pytest.fail("began"))
    result = command("train", "teacher", "-c", config, "--resume")
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    for part in (
        "last.pt does not fit this configuration",
        "denoiser.channels 8 there, 16 now",
        "denoiser.layers 2 there, 3 now",
        "condition.voicing True there, False now",
        "features.encoder toy there, other now",
    ):
        assert part in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, task, line",
    [
        ("student", {"train": "denoiser"}, "task.train all there, denoiser now"),
        ("singer", {"stretches": [1.0, 0.8]}, r"task.stretches \[1.0, 0.9\] there, \[1.0, 0.8\] now"),
        ("singer", {"model": {"channels": 12, "layers": 1, "embedding": 4}}, "configuration: channels 8 there, 12 now"),
        ("pitch", {"model": {"channels": 8, "layers": 2}}, "configuration: layers 1 there, 2 now"),
        ("singer", {"held_out": True}, "task.held_out False there, True now"),
    ],
)
def test_what_must_stay_of_a_task_is_named(place, kind, task, line):
    if kind == "student":
        place.train("teacher", 1)
    place.train(kind, 1)
    with pytest.raises(CheckpointError, match=line):
        place.train(kind, 2, resume=True, task=task)


def test_mel_and_units_of_other_sizes_are_named(place):
    place.train("teacher", 1)
    path = place.folder / "corpus" / "corpus.json"
    data = json.loads(path.read_text())
    data["mel"] |= {"bins": 20}
    data |= {"mel_mean": data["mel_mean"][:20], "mel_std": data["mel_std"][:20]}
    path.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=r"denoiser.mel_bins 24 there, 20 now; mel.bins 24 there, 20 now"):
        place.train("teacher", 2, resume=True)


def test_rates_and_decay_are_those_of_today(place, monkeypatch):
    place.train("teacher")
    run = place.resumed(monkeypatch, "teacher", optim={"betas": [0.5, 0.6], "weight_decay": 0.3, "lr": 0.2}, ema=0.25)
    groups = run.optimizer(run.task.turns(0)[0]).param_groups
    assert [group["betas"] for group in groups] == [(0.5, 0.6)] * 2 and run.ema.decay == 0.25
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]


def test_nothing_to_resume_is_said_and_it_starts_anew(place):
    result = command("train", "teacher", "-c", place.config("teacher", 1), "--resume")
    folder = place.folder / "teacher"
    assert result.exit_code == 0 and f"nothing to resume in {folder}: it starts anew (there was no" in result.stderr
    assert checkpoint.load(folder / "last.pt", "teacher")["step"] == 1
    again = command("train", "teacher", "-c", place.config("teacher", 1), "--resume")
    assert "nothing to resume" not in again.stderr and "continuing from step 1: the whole budget" in again.stderr


@pytest.mark.slow
def test_a_run_killed_between_best_and_last_goes_on_from_best(place):
    whole = place.train("teacher", 5)
    for path in (place.folder / "teacher").glob("*.pt"):
        path.unlink()
    place.train("teacher", 3)
    (place.folder / "teacher" / "last.pt").unlink()
    result = command("train", "teacher", "-c", place.config("teacher", 5), "--resume")
    assert result.exit_code == 0 and "last.pt is missing: continuing from best.pt" in result.stderr
    after = checkpoint.load(place.folder / "teacher" / "last.pt", "teacher")
    assert after["step"] == 5 and same(after["model"][TABLE], whole["model"][TABLE])


def test_a_folder_of_another_training_is_refused(place):
    place.train("teacher", 1)
    result = command("train", "singer", "-c", place.config("singer"), "-o", place.folder / "teacher", "--resume")
    assert result.exit_code == 2 and "holds a teacher, not a singer" in result.stderr
    assert result.stderr.count("\n") == 1
