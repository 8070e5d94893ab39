"""The YAML files of configs: every key is known, and what they name is what another of them makes."""

from pathlib import Path

import pytest

from bench.ablation import plan as ablation_plan
from bench.ablation import run as ablation
from fastsvc.config import from_dict
from fastsvc.training import settings
from fastsvc.training.consistency import StudentSettings
from fastsvc.training.dmo_settings import DmoSettings
from fastsvc.training.flow.tasks import FlowStudentSettings
from fastsvc.training.flow.teacher import FlowTeacherSettings
from fastsvc.training.pitch import PitchTaskConfig
from fastsvc.training.recogniser import RecogniserTaskConfig
from fastsvc.training.singer import SingerTaskConfig
from fastsvc.training.task import PAIRED, task_class
from fastsvc.training.teacher import TeacherSettings

pytest.importorskip("yaml")

FIRST_STUDENT = "work/ablation/students/CD/seed0"  # of whose mels the table's listeners learn

CONFIGS = Path(__file__).parent.parent / "configs"
TASKS = {
    "recogniser": RecogniserTaskConfig,
    "singer": SingerTaskConfig,
    "pitch": PitchTaskConfig,
    "teacher": TeacherSettings,
    "student": StudentSettings,
    "dmo": DmoSettings,
}
FLOWS = {"teacher": FlowTeacherSettings, "student": FlowStudentSettings, "dmo": DmoSettings}
RUNS = sorted(p for p in CONFIGS.glob("*/*.yaml") if p.stem not in ("prepare", "evaluate", "ablation"))


def settings_class(kind: str, task: dict) -> type:
    """Of the task's settings; vocoders differ by family, students by method, and what has a short future by that."""
    if kind == "vocoder" or "future_frames" in task or task.get("method") == PAIRED:
        return task_class(kind, task).settings_class
    return TASKS[kind]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_run_is_described_in_known_keys(path):
    found = settings.read_settings(path)
    kind = path.stem.split("_")[0]
    known = FLOWS[kind] if path.parent.name == "ddsp" else settings_class(kind, found.task)
    task = from_dict(known, found.task, path.name)
    assert found.out == _out(path)
    made = {_out(other) for other in RUNS} | {FIRST_STUDENT}
    named = [v for v in _strings(found.task) if v.startswith("work/")]
    assert {str(Path(name).parent) for name in named} <= made
    held_out = getattr(task, "held_out", False)
    assert held_out == path.stem.endswith(("_heldout", "_guard"))


def _out(path: Path) -> str:
    return f"work/{path.parent.name}/runs/{path.stem}"


def _strings(value):
    if isinstance(value, dict):
        for inside in value.values():
            yield from _strings(inside)
    elif isinstance(value, str):
        yield value


def test_the_ablation_mirrors_the_papers_rows(monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    plan = ablation.read_plan(CONFIGS / "ablation" / "ablation.yaml")
    assert list(plan.cells) == ["CD", "CD last", "ECT", "DMD", "DMD+GAN", "+CTC", "+SV", "all"]
    weights = {}
    for name in list(plan.cells)[3:]:
        task = from_dict(DmoSettings, ablation_plan.training_config(plan, name, 1)["task"])
        weights[name] = {loss for loss, term in vars(task.losses).items() if term.weight}
        assert task.init == "work/ablation/students/CD/seed1/best.pt" and task.steps == (1, 2, 4)
        assert plan.cell(name).steps == ((1, 2, 4) if name == "all" else (1, 4))
    assert weights == {
        "DMD": {"dmd"},
        "DMD+GAN": {"dmd", "adversarial"},
        "+CTC": {"dmd", "adversarial", "ctc", "frames"},
        "+SV": {"dmd", "adversarial", "singer"},
        "all": {"dmd", "adversarial", "ctc", "frames", "pitch", "singer"},
    }
