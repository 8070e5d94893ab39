"""A run's whole state in a checkpoint, and back, so that a resumed run goes on as if it had not been stopped."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from fastsvc.config import to_dict
from fastsvc.errors import CheckpointError
from fastsvc.training import checkpoint, rows
from fastsvc.training.before import Before


class Run(Protocol):
    """What is saved of a fastsvc.training.loop.Trainer."""

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


def save(run: Run, path: Path) -> None:
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


def restore(run: Run, before: Before) -> None:
    """Raises CheckpointError where the file is not of this configuration, OutputError where it was replaced meanwhile.

    Rows of singers are taken by name. Those that the task does not list are left out.
    """
    before.unchanged()
    with _fitting(str(before.path)):
        _restore(run, before)
    before.content = None  # half of the memory
    if before.path.name != "last.pt":
        run.task.notes.append(f"{run.out}/last.pt is missing: continuing from {before.path.name}")
    if run.task.singer_rows and not run.move.unchanged:
        run.best = None  # other songs are validated on, and best.pt lacks the new singers
        run.task.notes += _moves(run.move)


def _moves(move: rows.Move) -> list[str]:
    """A line for each kind of change to the table of singers."""
    if not move.before:
        return ["the checkpoint is of an older version and does not name its singers: their rows start untrained"]
    new, lost = (rows.joined(a, b)[len(a) :] for a, b in ((move.before, move.now), (move.now, move.before)))
    lines = [f"new singers: {', '.join(new)}: their rows begin as in a new training"] if new else []
    return [*lines, f"singers that are gone: {', '.join(lost)}: their rows are left out"] if lost else lines


def opening(run: Run) -> list[str]:
    """What is said before the first step."""
    if not run.resumed:
        return run.task.notes
    done = ": the whole budget, so raise steps or minutes to train longer" if run.fraction >= 1 else ""
    return [*run.task.notes, f"continuing from step {run.step}{done}"]


def restore_optimizer(run: Run, name: str) -> None:
    """The state of one turn's optimiser, when that is made. Raises CheckpointError where it is another's."""
    with _fitting(f"{run.out}/last.pt: optimizer.{name}"):
        optimizer, held = run.optimizers[name], run.pending.pop(name)
        parameters, tables = [group["params"] for group in optimizer.param_groups], _tables(run)
        known = [[p for p in group if not (run.added and id(p) in tables)] for group in parameters]
        if [len(group["params"]) for group in held["param_groups"]] != [len(group) for group in known if group]:
            raise ValueError("it is of other parameters")
        state = rows.moved_optimizer(held["state"], sum(known, []), sum(parameters, []), tables, run.move)
        # Decay and betas are the configuration's: torch would take them from the file.
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _tables(run: Run) -> dict[int, int]:
    """Parameters with rows of singers, by id, and of how many blocks."""
    return {
        id(_module(run, module).get_parameter(name)): blocks
        for module, names in run.task.singer_rows.items()
        for name, blocks in names.items()
    }


def _module(run: Run, name: str) -> nn.Module:
    return run.task.model if name == "model" else run.task.extra[name]


@contextlib.contextmanager
def _fitting(what: str) -> Iterator[None]:
    """torch's own checks of names, shapes and states as one CheckpointError."""
    try:
        yield
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(
            f"{what} does not fit this configuration: {reason}",
            "continue with the configuration of that run, or choose another `out`",
        ) from None


def _restore(run: Run, before: Before) -> None:
    content, task = before.content, run.task
    run.move = rows.Move(before.singers, task.singers)
    tables = task.singer_rows.get("model", {})
    run.added = any(name not in content["model"] for name in tables)

    def moved(state: dict, module: nn.Module, name: str) -> dict:
        return rows.moved_state(state, module, task.singer_rows.get(name, {}), run.move)

    task.model.load_state_dict(moved(content["model"], task.model, "model"))
    # Before the means' own: a new row of theirs begins as the model's.
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
    if content["scaler"]:  # empty: it was trained without
        run.scaler.load_state_dict(content["scaler"])
    torch.set_rng_state(content["rng"]["torch"])


def kept(run: Run) -> rows.Kept:
    """The rows of singers without songs, in the model, its mean and what follows it."""
    modules = [(run.task.model, "model"), (run.ema.model, "model")]
    modules += [(run.task.extra[name], name) for name in run.task.singer_rows if name != "model"]
    tensors = [module.get_parameter(name) for module, key in modules for name in run.task.singer_rows.get(key, {})]
    return rows.Kept(tensors, run.task.gone)
