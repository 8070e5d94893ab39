"""A run's whole state in a checkpoint, and back: a resumed run continues as if it had not been stopped."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from fastsvc.config import to_dict
from fastsvc.errors import CheckpointError
from fastsvc.training import checkpoint, rows
from fastsvc.training.resume import ResumePoint


class TrainingRun(Protocol):
    """The attributes of a fastsvc.training.loop.Trainer that are saved and restored."""

    task: Any
    settings: Any
    out: Path
    step: int
    elapsed_s: float
    best: float | None
    resumed: bool
    added: bool
    fraction: float
    move: rows.Move
    optimizers: dict[str, torch.optim.Optimizer]
    pending: dict[str, dict]
    scaler: Any
    ema: Any


def save(run: TrainingRun, path: Path) -> None:
    task = run.task
    states = {**run.pending, **{name: o.state_dict() for name, o in run.optimizers.items()}}
    checkpoint.save(
        path,
        kind=task.kind,
        step=run.step,
        config={"model": task.config_for_checkpoint(), "train": to_dict(run.settings) | task.of_corpus()},
        speakers=task.speakers,
        singers=list(task.singers),
        speaker_f0_hz=task.speaker_f0_hz,
        model=task.model.state_dict(),
        ema=run.ema.model.state_dict(),
        extra={name: module.state_dict() for name, module in task.extra.items()},
        optimizer=states,
        scheduler={"elapsed_s": run.elapsed_s, "ema_updates": run.ema.updates, "best": run.best},
        scaler=run.scaler.state_dict(),
        rng={"torch": torch.get_rng_state()},
    )


def restore(run: TrainingRun, resume_point: ResumePoint) -> None:
    """Restore a run. Rows of singers follow names; rows of singers that the task does not list are left out.

    Raises CheckpointError where the file has another configuration, OutputError where it was replaced meanwhile.
    """
    resume_point.unchanged()
    with _fitting(str(resume_point.path)):
        _restore(run, resume_point)
    resume_point.content = None  # half of the memory
    if resume_point.path.name != "last.pt":
        run.task.notes.append(f"{run.out}/last.pt is missing: continuing from {resume_point.path.name}")
    if run.task.singer_rows and not run.move.unchanged:
        run.best = None  # validation has other songs, and best.pt lacks the new singers
        run.task.notes += _moves(run.move)


def _moves(move: rows.Move) -> list[str]:
    """A line for each kind of change to the table of singers."""
    if not move.before:
        return ["the checkpoint is of an older version and does not name its singers: their rows start untrained"]
    new, lost = (rows.joined(a, b)[len(a) :] for a, b in ((move.before, move.now), (move.now, move.before)))
    lines = [f"new singers: {', '.join(new)}: their rows begin as in a new training"] if new else []
    return [*lines, f"singers that are gone: {', '.join(lost)}: their rows are left out"] if lost else lines


def opening(run: TrainingRun) -> list[str]:
    """Lines for the user before the first step."""
    if not run.resumed:
        return run.task.notes
    note = ": the whole budget, so raise steps or minutes to train longer" if run.fraction >= 1 else ""
    return [*run.task.notes, f"continuing from step {run.step}{note}"]


def restore_optimizer(run: TrainingRun, name: str) -> None:
    """Restore one turn's optimiser, right after it is made. Raises CheckpointError where its parameters differ."""
    with _fitting(f"{run.out}/last.pt: optimizer.{name}"):
        optimizer, stored = run.optimizers[name], run.pending.pop(name)
        parameters, tables = [group["params"] for group in optimizer.param_groups], _tables(run)
        stored_parameters = [[p for p in group if not (run.added and id(p) in tables)] for group in parameters]
        sizes = [len(group) for group in stored_parameters if group]
        if [len(group["params"]) for group in stored["param_groups"]] != sizes:
            raise ValueError("it is of other parameters")
        old, new = [*chain(*stored_parameters)], [*chain(*parameters)]
        state = rows.moved_optimizer(stored["state"], old, new, tables, run.move)
        # Decay and betas come from the configuration: torch alone would take them from the file.
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _tables(run: TrainingRun) -> dict[int, int]:
    """Id of each parameter with rows of singers → its number of blocks."""
    return {
        id(_module(run, module).get_parameter(name)): blocks
        for module, names in run.task.singer_rows.items()
        for name, blocks in names.items()
    }


def _module(run: TrainingRun, name: str) -> nn.Module:
    return run.task.model if name == "model" else run.task.extra[name]


@contextlib.contextmanager
def _fitting(name: str) -> Iterator[None]:
    """Turn torch's own errors about names, shapes and states into one CheckpointError."""
    try:
        yield
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(
            f"{name} does not fit this configuration: {reason}",
            "continue with the configuration of that run, or choose another `out`",
        ) from None


def _restore(run: TrainingRun, resume_point: ResumePoint) -> None:
    content, task = resume_point.content, run.task
    run.move = rows.Move(resume_point.singers, task.singers)
    tables = task.singer_rows.get("model", {})
    run.added = any(name not in content["model"] for name in tables)

    def moved(state: dict, module: nn.Module, name: str) -> dict:
        return rows.moved_state(state, module, task.singer_rows.get(name, {}), run.move)

    task.model.load_state_dict(moved(content["model"], task.model, "model"))
    # New rows of the mean begin as the model's: the mean was copied from the new model.
    run.ema.model.load_state_dict(moved(content["ema"], run.ema.model, "model"))
    for name, module in task.extra.items():
        module.load_state_dict(moved(content["extra"][name], module, name))
    run.pending = dict(content["optimizer"])
    state = content["scheduler"]
    run.step, run.elapsed_s = content["step"], float(state["elapsed_s"])
    run.best = None if state["best"] is None else float(state["best"])
    run.ema.updates = int(state["ema_updates"])
    if not 0 <= run.elapsed_s < math.inf or run.ema.updates < 0:
        raise ValueError(f"elapsed_s is {run.elapsed_s}, ema_updates {run.ema.updates}")
    if content["scaler"]:  # empty after training without a scaler
        run.scaler.load_state_dict(content["scaler"])
    torch.set_rng_state(content["rng"]["torch"])


def frozen_rows(run: TrainingRun) -> rows.FrozenRows:
    """The rows of singers without songs, in the model, its mean and the task's other modules."""
    modules = [(run.task.model, "model"), (run.ema.model, "model")]
    modules += [(run.task.extra[name], name) for name in run.task.singer_rows if name != "model"]
    tensors = [module.get_parameter(name) for module, key in modules for name in run.task.singer_rows.get(key, {})]
    return rows.FrozenRows(tensors, run.task.rows_without_songs)
