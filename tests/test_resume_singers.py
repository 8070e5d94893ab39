"""Going on after the corpus changed: rows follow the singers' names, ranges stay."""

import json
import unicodedata

import numpy as np
import pytest
import torch
from places import TABLE, by_name, high_and_low, same

from fastsvc.data.pseudo import add_pseudo_labels
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.training import rows
from fastsvc.training.loop import Trainer

CARE = "José"


@pytest.fixture
def place(tmp_path):
    return high_and_low(tmp_path)


def states(run: Trainer, turn, parameter) -> dict:
    return run.optimizer(turn).state[parameter]


@pytest.mark.slow
@pytest.mark.parametrize("singers", [("low", "high"), ("Carol", "low", "high", "adam"), ("low", "eve")])
def test_rows_of_a_voice_follow_names(place, monkeypatch, capsys, singers):
    before = place.train("teacher")
    assert not same(*by_name(before).values())  # rows that can be told apart
    place.cast(*singers)
    run = place.resumed(monkeypatch, "teacher")
    names, task = run.task.speakers, run.task
    assert names[:2] == ["high", "low"] and set(names) == {"high", "low", *singers}
    [turn] = task.turns(0)
    held = before["optimizer"]["teacher"]["state"]
    moments = next(v for v in held.values() if v["exp_avg"].shape == before["model"][TABLE].shape)
    table = task.model.get_parameter(TABLE)
    state = states(run, turn, table)
    assert float(moments["exp_avg"].abs().min(1).values.max()) > 0
    for row, name in enumerate(names):
        assert (row in task.rows_without_songs) == (name not in singers)
        if name in before["speakers"]:
            old = before["speakers"].index(name)
            assert same(table[row], before["model"][TABLE][old])
            assert same(run.ema.model.get_parameter(TABLE)[row], before["ema"][TABLE][old])
            assert all(same(state[key][row], moments[key][old]) for key in ("exp_avg", "exp_avg_sq"))
        else:
            assert 0.01 < float(table[row].detach().std()) < 10 and not state["exp_avg"][row].any()
            assert same(run.ema.model.get_parameter(TABLE)[row], table[row])
    for number, name in enumerate(singers):
        assert names[int(task.table[number])] == name
        assert task.speaker_f0_hz[names.index(name)] == 100.0 + len(name)
    new, gone = (sorted(set(a) - set(b)) for a, b in ((singers, before["speakers"]), (before["speakers"], singers)))
    notes = "; ".join(task.notes)
    assert all(name in notes for name in (*new, *gone)) and bool(task.notes) == bool(new or gone)


@pytest.mark.slow
def test_a_singer_without_songs_stays_exactly_and_others_learn(place):
    before = place.train("teacher")
    place.cast("adam", "low")
    after = place.train("teacher", 8, resume=True)
    assert after["speakers"] == ["high", "low", "adam"] and after["step"] == 8
    assert after["config"]["model"]["condition"]["speakers"] == 3
    for part in ("model", "ema"):
        assert same(by_name(after, part)["high"], by_name(before, part)["high"])
        assert float((by_name(after, part)["low"] - by_name(before, part)["low"]).abs().max()) > 0.05
    assert after["speaker_f0_hz"] == [104.0, 103.0, 104.0]
    again = place.train("teacher", 9, resume=True)  # nothing is new any more
    assert again["speakers"] == after["speakers"] and same(by_name(again)["high"], by_name(before)["high"])


def test_names_are_compared_as_they_are_read(place, monkeypatch):
    """macOS takes é apart, others do not: one singer."""
    whole, parts = (unicodedata.normalize(form, CARE) for form in ("NFC", "NFD"))
    assert whole != parts
    place.cast("ann", whole)
    before = place.train("teacher")
    place.cast(parts, "ann")
    run = place.resumed(monkeypatch, "teacher")
    assert run.task.speakers == ["ann", whole] and run.task.notes == [] and run.task.table.tolist() == [1, 0]
    assert same(run.task.model.get_parameter(TABLE), before["model"][TABLE])
    with pytest.raises(ConfigError, match="two singers have the same name"):
        rows.positions(["ann", parts, whole])


def test_a_second_singer_beside_one_alone(place, monkeypatch):
    """With one singer there is no table: the same is made with a row of zeros for that one."""
    place.cast("low")
    before = place.train("teacher")
    assert TABLE not in before["model"]
    place.cast("adam", "low")
    run = place.resumed(monkeypatch, "teacher")
    table = run.task.model.get_parameter(TABLE)
    assert run.task.speakers == ["low", "adam"] and not table[0].any() and table[1].all()
    [turn] = run.task.turns(0)
    optimizer = run.optimizer(turn)
    assert table not in optimizer.state
    held = before["optimizer"]["teacher"]["state"]
    sums = sorted(float(v["exp_avg_sq"].double().sum()) for v in held.values())
    assert sorted(float(v["exp_avg_sq"].double().sum()) for v in optimizer.state.values()) == pytest.approx(sums)
    for parameter, values in optimizer.state.items():
        assert values["exp_avg"].shape == parameter.shape
    assert place.train("teacher", 5, resume=True)["speakers"] == ["low", "adam"]


@pytest.mark.slow
def test_the_mel_range_stays(place):
    before = place.train("teacher")
    place.cast("high", "low", "adam", louder=2.0)
    after = place.train("teacher", 5, resume=True)
    assert after["config"]["model"]["norm"] == before["config"]["model"]["norm"]
    for name in ("last.pt", "best.pt"):
        (place.folder / "teacher" / name).unlink()
    anew = place.train("teacher", 1)["config"]["model"]["norm"]
    np.testing.assert_allclose(np.subtract(anew["low"], before["config"]["model"]["norm"]["low"]), 2.0, atol=1e-4)


def test_the_verifiers_classes_follow_names(place, monkeypatch):
    """One block of classes for each stretch; no engine serves them, so those of singers without songs are left out."""
    before = place.train("singer")
    place.cast("adam", "low")
    run = place.resumed(monkeypatch, "singer")
    now, then = run.task.margin.weight, before["extra"]["margin"]["weight"]
    assert now.shape == (4, 4) and run.task.singers == ["adam", "low"]
    state = states(run, run.task.turns(0)[0], now)
    moments = next(v for v in before["optimizer"]["singer"]["state"].values() if v["exp_avg"].shape == then.shape)
    assert same(now[[1, 3]], then[[1, 3]]) and not same(now[[0, 2]], then[[0, 2]])
    assert same(state["exp_avg"][[1, 3]], moments["exp_avg"][[1, 3]]) and moments["exp_avg"][3].any()
    assert not state["exp_avg"][[0, 2]].any()
    assert "new singers: adam: " in run.task.notes[0] and "are gone: high: their rows are left" in run.task.notes[1]
    assert place.train("singer", 4, resume=True)["speakers"] == ["adam", "low"]


def test_a_recognisers_listener_follows_names(place, monkeypatch):
    add_pseudo_labels(place.folder / "corpus", 3)
    labels = json.loads((place.folder / "corpus" / "corpus.json").read_text())["pseudo"]

    def cast(*singers):
        place.cast(*singers)
        path = place.folder / "corpus" / "corpus.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pseudo": labels}))

    before = place.train("recogniser")
    cast("low", "adam", "high")
    run = place.resumed(monkeypatch, "recogniser")
    for name in ("2.weight", "2.bias"):
        now, then = run.task.listener.get_parameter(name), before["extra"]["listener"][name]
        assert same(now[[2, 0]], then) and len(now) == 3 and not same(then[0], then[1])
        state = states(run, run.task.turns(0)[1], now)
        assert state["exp_avg"][0].any() and not state["exp_avg"][1].any()
    np.save(place.folder / "corpus" / "clusters.npy", np.load(place.folder / "corpus" / "clusters.npy")[::-1])
    with pytest.raises(CheckpointError, match="does not fit this configuration: labels is not the same"):
        place.train("recogniser", 4, resume=True)


@pytest.mark.slow
@pytest.mark.long
def test_a_student_learns_from_a_teacher_that_went_on(place, monkeypatch):
    place.train("teacher")
    student = place.train("student")
    place.cast("adam", "low")
    with pytest.raises(ConfigError) as caught:
        place.train("student", 4, resume=True)
    assert "has the singers high, low, the student trains high, low, adam" in str(caught.value)
    teacher = place.train("teacher", 5, resume=True)
    run = place.resumed(monkeypatch, "student")
    assert run.task.speakers == ["high", "low", "adam"] and run.task.rows_without_songs == [0]
    for held, module in (("model", run.task.model), ("ema", run.ema.model)):
        table = module.get_parameter(TABLE)
        assert same(table[:2], student[held][TABLE]) and same(table[2], teacher["ema"][TABLE][2])
    assert same(run.task.target.get_parameter(TABLE)[:2], student["extra"]["target"][TABLE])
    after = place.train("student", 5, resume=True)
    assert same(by_name(after)["high"], by_name(student)["high"])
    assert same(after["extra"]["target"][TABLE][0], student["extra"]["target"][TABLE][0])
    place.cast("low", "high", "adam")
    torch.save({**teacher, "speakers": ["low", "adam", "high"]}, place.folder / "teacher" / "last.pt")
    moved = place.resumed(monkeypatch, "student").task  # by name, whatever the teacher's order
    assert same(moved.teacher.get_parameter(TABLE), teacher["ema"][TABLE][[2, 0, 1]])
