"""The YAML of an ablation: its cells, the configuration of each training, and checks before any work."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from bench.ablation.diversity import DiversitySettings
from fastsvc import reading
from fastsvc.config import from_dict
from fastsvc.errors import ConfigError
from fastsvc.evaluation.settings import EvaluationSettings


@dataclass(frozen=True)
class Cell:
    """One row: a training with changes to a configuration, or (``of``) another checkpoint of a row above."""

    kind: str = ""  # student, dmo
    config: str = ""  # the YAML to start from
    of: str = ""  # the cell whose training this is
    changes: dict = field(default_factory=dict)  # laid over it, key by key
    steps: tuple[int, ...] = (1, 4)  # of the engine and of its evaluation
    init: str = ""  # another cell, whose checkpoint of the same seed is this one's task.init
    checkpoint: str = "last"  # the training's file to evaluate: last, best


@dataclass(frozen=True)
class Ablation:
    """The YAML. Paths are relative to the current folder."""

    out: str
    teacher: str
    vocoder: str
    content: str
    cells: dict
    evaluate: dict = field(default_factory=dict)  # as `fastsvc evaluate -c`, without model and teacher
    against: str = ""  # the row that others are compared with, such as "CD, 1 step"
    seeds: tuple[int, ...] = (0, 1, 2)
    diversity: DiversitySettings = field(default_factory=DiversitySettings)

    def __post_init__(self):
        for name in self.cells:
            if not re.fullmatch(r"[\w+ -]+", name):
                raise ConfigError(f"cells: {name!r} cannot be a folder", "use letters, digits, +, - and spaces")

    def cell(self, name: str) -> Cell:
        return from_dict(Cell, self.cells[name], f"cells.{name}")

    def folder(self, name: str, seed: int) -> Path:
        return Path(self.out) / name.replace(" ", "_") / f"seed{seed}"


def read_plan(path) -> Ablation:
    """The checked plan of a YAML file. Raises ConfigError naming the mistake, also in any cell."""
    from fastsvc.training.settings import parse

    path = Path(path)
    if not path.exists():
        raise ConfigError(f"{path}: no such configuration", "see configs/ablation/ablation.yaml")
    plan = from_dict(Ablation, parse(reading.read_text(path), str(path)), path.name)
    from_dict(EvaluationSettings, plan.evaluate, "evaluate")
    for name in plan.cells:
        cell = plan.cell(name)
        names = list(plan.cells)
        above = names[: names.index(name)]
        if cell.of:
            if cell.of not in above or plan.cell(cell.of).of:
                raise ConfigError(f"cells.{name}: of: {cell.of!r} is not a training above it")
            if (cell.kind, cell.config, cell.init, cell.changes) != ("", "", "", {}):
                raise ConfigError(f"cells.{name}: with `of` only steps and checkpoint may be given")
        elif cell.kind not in ("student", "dmo"):
            raise ConfigError(f"cells.{name}: kind is {cell.kind!r}", "use student or dmo")
        if cell.checkpoint not in ("last", "best"):
            raise ConfigError(f"cells.{name}: checkpoint is {cell.checkpoint!r}", "use last or best")
        if cell.init and cell.init not in above:
            raise ConfigError(f"cells.{name}: init: {cell.init!r} is not a cell above it")
        _check_judges(plan, name)
    return plan


def _check_judges(plan: Ablation, name: str) -> None:
    """Raises ConfigError where a network of a training's losses or of its guard is a judge, too."""
    task = training_config(plan, name, 0)["task"]
    used_in_training = {path: part for part in ("listeners", "guard") for path in task.get(part, {}).values() if path}
    for key in ("recogniser", "verifier"):
        if plan.evaluate.get(key) in used_in_training:
            part = used_in_training[plan.evaluate[key]]
            raise ConfigError(
                f"evaluate.{key}: {plan.evaluate[key]} is among the {part} of {name}", "use one of another seed"
            )


def training_config(plan: Ablation, name: str, seed: int) -> dict:
    """The whole configuration of a cell's training."""
    from fastsvc.training.settings import parse

    cell = plan.cell(name)
    if cell.of:
        return training_config(plan, cell.of, seed)
    path = Path(cell.config)
    if not path.exists():
        raise ConfigError(f"cells.{name}: {path}: no such configuration")
    run = merged(parse(reading.read_text(path), str(path)), cell.changes)
    run = merged(run, {"seed": seed, "out": str(plan.folder(name, seed)), "task": {"teacher": plan.teacher}})
    if cell.init:
        run["task"]["init"] = str(plan.folder(cell.init, seed) / f"{plan.cell(cell.init).checkpoint}.pt")
    return run


def merged(base: dict, changes: dict) -> dict:
    """``base`` with ``changes`` laid over it, mapping by mapping."""
    mappings = {key: merged(base[key], value) for key, value in changes.items() if _mappings(base.get(key), value)}
    return base | changes | mappings


def _mappings(a, b) -> bool:
    return isinstance(a, dict) and isinstance(b, dict)
