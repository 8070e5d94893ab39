"""The ablation's runner, end to end on the toy corpus."""

import contextlib
import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from studio import EDM
from teachers import TINY, write_config
from toy_corpus import MEL, make

from bench.ablation import run as ablation
from fastsvc import config as c
from fastsvc.data.choir import roster
from fastsvc.errors import ConfigError, FastsvcError
from fastsvc.training import checkpoint, run

SMALL = {"valid_crops": 2, "valid_frames": 32}
OFF = {name: {"weight": 0.0} for name in ("ctc", "frames", "pitch", "singer")}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """The YAML of an ablation of two cells over a corpus whose singers are two of the choir."""
    from fastsvc.model.recogniser import Recogniser
    from fastsvc.model.vocoder import Generator

    folder = tmp_path_factory.mktemp("ablation")
    corpus = make(folder / "corpus")
    path = corpus.path / "corpus.json"
    singers = {singer.name: singer.f0_hz for singer in roster(2, 0)[:2]}  # after them the voices of flite and espeak-ng
    (first, second), text = singers, path.read_text()
    for old, new in (("high", first), ("low", second), ("toy", "recogniser")):
        text = text.replace(f'"{old}"', f'"{new}"')
    data = json.loads(text) | {"singer_f0_hz": singers}
    data["encoder"]["hash"] = "toy"
    path.write_text(json.dumps(data))

    def untrained(name, kind, model):
        plain, state = {"model": c.to_dict(model.config), "train": {}}, model.state_dict()
        common = {"step": 1, "speakers": [], "speaker_f0_hz": [], "model": state, "ema": state}
        checkpoint.save(folder / name, kind=kind, config=plain, **common)
        return str(folder / name)

    vocoder = c.VocoderConfig(
        mel=MEL, initial_channels=16, upsample_rates=(10, 4, 4), upsample_kernels=(20, 8, 8), resblock="2",
        resblock_kernels=(3,), resblock_dilations=((1, 3),), harmonics=2,
    )  # fmt: skip
    hears = c.RecogniserConfig(phones=("-", "a"), channels=8, layers=1, bottleneck=3)
    edm = EDM | {"sigma_max": 20.0}
    task = SMALL | {"denoiser": TINY, "edm": edm}
    run("teacher", write_config(folder / "teacher.yaml", corpus, steps=2, validate_every=9, task=task))
    student = write_config(folder / "student.yaml", corpus, steps=2, validate_every=9, task=SMALL | {"points": 8})
    few = {"batch": {"size": 2, "frames": 16}, "optim": {"warmup": 0}}
    task = SMALL | {"losses": OFF, "fake_updates": 1, "diversity_seeds": 0, "lag_steps": 0}
    dmo = write_config(folder / "dmo.yaml", corpus, **(few | {"steps": 2, "validate_every": 9, "task": task}))
    changes = {"task": {"steps": [1], "losses": {"adversarial": {"weight": 0.0}}}}
    plain = {
        "out": str(folder / "out"),
        "teacher": str(folder / "run" / "last.pt"),
        "vocoder": untrained("vocoder.pt", "vocoder", Generator(vocoder)),
        "content": untrained("content.pt", "recogniser", Recogniser(hears)),
        "evaluate": {"clips": 2, "clip_seconds": 0.5, "teacher_steps": 2},
        "against": "CD, 1 step",
        "seeds": [1],
        "diversity": {"seeds": 3, "crops": 2, "frames": 16, "teacher_steps": 2},
        "cells": {
            "CD": {"kind": "student", "config": str(student), "checkpoint": "best", "steps": [1, 2]},
            "CD last": {"of": "CD", "steps": [1]},
            "DMD + GAN": {"kind": "dmo", "config": str(dmo), "steps": [1], "init": "CD", "changes": changes},
        },
    }
    (folder / "ablation.yaml").write_text(yaml.safe_dump(plain))
    return folder / "ablation.yaml"


@contextlib.contextmanager
def trained_again(path: Path):
    """The same path, another checkpoint."""
    before = path.read_bytes()
    torch.save(torch.load(path, weights_only=True) | {"step": 99}, path)
    yield
    path.write_bytes(before)


@pytest.mark.slow
@pytest.mark.long
def test_every_cell_is_trained_built_evaluated_and_gathered(plan, monkeypatch, capsys):
    assert ablation.main(["-c", str(plan), "--only", "CD", "--seeds", "1"]) == 0
    out = plan.parent / "out"
    some = json.loads((out / "ablation.json").read_text())
    assert set(some["systems"]) >= {"true target", "copy-synthesis", "CD, 1 step", "CD, 2 steps"}
    assert "teacher, 2 Euler steps" in some["systems"]
    before = (out / "CD" / "seed1" / "cell.json").stat().st_mtime_ns
    capsys.readouterr()
    kept = json.loads((out / "teacher_spread.json").read_text())
    (out / "teacher_spread.json").write_text(json.dumps(kept | {"value": 100 * kept["value"]}))
    assert ablation.main(["-c", str(plan)]) == 0
    assert (out / "CD" / "seed1" / "cell.json").stat().st_mtime_ns == before  # not done again
    found = json.loads((out / "ablation.json").read_text())
    one = found["systems"]["DMD + GAN, 1 step"]
    assert found["about"]["seeds"] == [1] and set(one["mcd_db"]["by_seed"]) == {"1"}
    assert found["differences"]["DMD + GAN, 1 step"]["mcd_db"]["low"] <= one["mcd_db"]["mean"]
    assert all(0 < found["systems"][f"CD, {n}"]["diversity"]["mean"] < 10 for n in ("1 step", "2 steps"))
    assert 0 < found["systems"]["DMD + GAN, 1 step"]["diversity"]["mean"] < 0.1  # the teacher's was not measured again
    assert found["failed"] == {}
    lines = list(csv.DictReader((out / "clips.csv").read_text().splitlines()))
    heard = [float(line["mcd_db"]) for line in lines if (line["cell"], line["system"]) == ("CD", "student, 2 steps")]
    assert np.mean(heard) == pytest.approx(found["systems"]["CD, 2 steps"]["mcd_db"]["mean"], abs=1e-3)
    ends = {path: json.loads((out / path / "seed1" / "cell.json").read_text()) for path in ("CD", "CD_last")}
    assert [ends[path]["checkpoint"] for path in ends] == ["best.pt", "last.pt"]
    assert not (out / "CD_last" / "seed1" / "last.pt").exists() and "CD last, 1 step" in found["systems"]
    config = yaml.safe_load((out / "DMD_+_GAN" / "seed1" / "run.yaml").read_text())
    assert config["seed"] == 1 and config["task"]["init"] == str(out / "CD" / "seed1" / "best.pt")
    assert config["task"]["losses"] == OFF | {"adversarial": {"weight": 0.0}}
    said = capsys.readouterr().out
    assert (
        "| DMD + GAN, 1 step |" in said
        and "paired by clip" in said
        and said.rstrip() == (out / "ablation.md").read_text().rstrip()
    )

    text = plan.read_text()
    plan.write_text(text.replace("clips: 2", "clips: 3"))
    assert ablation.main(["-c", str(plan)]) == 1
    assert "was made with other settings" in capsys.readouterr().err
    plan.write_text(text)
    with trained_again(plan.parent / "content.pt"):
        assert ablation.main(["-c", str(plan)]) == 1
        assert "other settings or checkpoints" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.long
def test_an_interrupted_training_stops_the_ablation(plan, monkeypatch, tmp_path, capsys):
    from fastsvc import training

    other = yaml.safe_load(plan.read_text()) | {"out": str(tmp_path / "out")}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(other))
    monkeypatch.setattr(training, "run", lambda *a, **k: {"finished": False, "reason": "", "step": 1})
    assert ablation.main(["-c", str(tmp_path / "a.yaml")]) == 130
    assert "the same command continues" in capsys.readouterr().err and not list((tmp_path / "out").rglob("cell.json"))


@pytest.mark.slow
@pytest.mark.long
def test_a_cell_that_fails_keeps_only_its_own_students_waiting(plan, monkeypatch, tmp_path, capsys):
    from fastsvc import training

    plain = yaml.safe_load(plan.read_text()) | {"out": str(tmp_path / "out")}
    plain["cells"]["ECT"] = plain["cells"]["CD"]
    plain["diversity"]["seeds"] = 0
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(plain))
    real = training.run

    def failing(kind, config, resume):
        if config.parent.parent.name != "CD":
            return real(kind, config, resume=resume)
        result = real(kind, config, resume=resume)  # its files are there, as after a training that went astray
        raise FastsvcError(f"training stopped at step {result['step']}: the loss was not a number")

    monkeypatch.setattr(training, "run", failing)
    assert ablation.main(["-c", str(tmp_path / "a.yaml")]) == 1
    found = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert "ECT, 1 step" in found["systems"] and "CD, 1 step" not in found["systems"]
    assert set(found["failed"]) == {"CD, seed 1", "CD last, seed 1", "DMD + GAN, seed 1"}
    assert "is not done" in found["failed"]["DMD + GAN, seed 1"] and "not a number" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.long
def test_a_training_that_ended_is_not_taken_up_again(plan, monkeypatch, tmp_path, capsys):
    """Not even where its guard ended it before its budget, and the evaluation was broken off."""
    from bench.ablation import diversity as ablation_diversity
    from fastsvc import training
    from fastsvc.training import validation

    plain = yaml.safe_load(plan.read_text()) | {"out": str(tmp_path / "out")}
    del plain["cells"]["DMD + GAN"]
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(plain))
    validate = validation.validate

    def ending(run, log):
        validate(run, log)
        run.reason = "enough"

    with monkeypatch.context() as patch:
        plain["cells"]["CD"]["changes"] = {"validate_every": 1}
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(plain))
        patch.setattr(validation, "validate", ending)
        patch.setattr(ablation_diversity, "_once", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ablation.main(["-c", str(tmp_path / "a.yaml")])
    monkeypatch.setattr(training, "run", lambda *a, **k: pytest.fail("trained again"))
    plain["cells"]["CD"]["changes"] = {"validate_every": 2}
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(plain))
    assert ablation.main(["-c", str(tmp_path / "b.yaml")]) == 1
    assert "was begun with other settings" in capsys.readouterr().err
    with trained_again(Path(plain["teacher"])):
        assert ablation.main(["-c", str(tmp_path / "a.yaml")]) == 1
        assert "was trained with other checkpoints" in capsys.readouterr().err
    assert ablation.main(["-c", str(tmp_path / "a.yaml")]) == 0
    cell = json.loads((tmp_path / "out" / "CD" / "seed1" / "cell.json").read_text())
    assert cell["stopped"] == "enough" and cell["steps_trained"] == 1 and cell["checkpoint"] == "best.pt"


@pytest.mark.long
def test_mistakes_are_named(plan, tmp_path, capsys):
    plain = yaml.safe_load(plan.read_text())
    listening = {"listeners": {"singer": "heard.pt"}, "guard": {"recogniser": "twin.pt"}}
    plain["cells"]["DMD + GAN"]["changes"]["task"] |= listening
    for change, said in (
        ({"cells": plain["cells"] | {"A/B": plain["cells"]["CD"]}}, "cannot be a folder"),
        ({"cells": {"DMD": plain["cells"]["DMD + GAN"]}}, "init: 'CD' is not a cell above it"),
        ({"cells": {"CD": plain["cells"]["CD"] | {"kind": "teacher"}}}, "kind is 'teacher'"),
        ({"cells": {"CD last": plain["cells"]["CD last"]}}, "of: 'CD' is not a training above it"),
        ({"cells": plain["cells"] | {"CD last": {"of": "CD", "init": "CD"}}}, "only steps and checkpoint"),
        ({"evaluate": {"clip": 3}}, "unknown key 'clip'"),
        ({"evaluate": {"verifier": "heard.pt"}}, "heard.pt is among the listeners of DMD + GAN"),
        ({"evaluate": {"recogniser": "twin.pt"}}, "twin.pt is among the guard of DMD + GAN"),
    ):
        (tmp_path / "bad.yaml").write_text(yaml.safe_dump(plain | change))
        assert ablation.main(["-c", str(tmp_path / "bad.yaml")]) == 1
        assert said in capsys.readouterr().err
    assert ablation.main(["-c", str(plan), "--only", "CDD"]) == 1
    with pytest.raises(ConfigError, match="no such configuration"):
        ablation.read_plan(tmp_path / "none.yaml")
