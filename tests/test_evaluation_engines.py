"""Several engines in one evaluation."""

import json
import shutil

import ddsp_golden
import engines
import pytest
from evaluated import networks

from fastsvc.engine import Engine
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.evaluation import run, systems


def test_other_engines_come_before_the_students_and_are_what_these_are_compared_with(tmp_path_factory, tmp_path):
    made = networks(tmp_path_factory)
    engine = Engine.open(made["engine"])
    settings = run.EvaluationSettings(model=str(made["engine"]), engines=(str(made["engine"]),))
    evaluation = run._Evaluation(settings, engine, tmp_path, False)
    compared = evaluation._systems()
    students = [f"{name}, {steps}" for name in ("tiny", "student") for steps in ("1 step", "2 steps")]
    assert [system.name for system in compared] == ["true target", "copy-synthesis", *students]
    assert evaluation._against(compared) == "tiny, 2 steps"
    paths = ["a/flow.fsvc", "b/flow.fsvc", "student.fsvc", "c/teacher.fsvc", "a/flow.fsvc"]
    assert list(systems.named(paths).values()) == [*paths[:3], "teacher"]
    assert systems.named(paths, with_teacher=True)["c/teacher.fsvc"] == "c/teacher.fsvc"
    other = tmp_path / "other.fsvc"
    shutil.copytree(made["engine"], other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["speakers"] = ["ada", "carlo"]
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="other voices or another rate"):
        evaluation._other(str(other))
    with pytest.raises(CheckpointError, match="a rectified flow, which is compared as an engine"):
        systems.teacher(engine, engines.native(tmp_path / "flow.pt", "teacher", ddsp_golden.SMALL))
