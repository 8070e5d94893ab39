"""A run's whole state in a checkpoint, and back, so that a resumed run goes on as if it had not been stopped."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fastsvc.config import to_dict
from fastsvc.errors import CheckpointError
from fastsvc.training import checkpoint

if TYPE_CHECKING:
    from fastsvc.training.loop import Trainer


def save(run: Trainer, path: Path) -> None:
    task = run.task
    peak = getattr(task.corpus, "peak", None)  # what an engine brings its inputs to
    states = {**run.pending, **{name: o.state_dict() for name, o in run.optimizers.items()}}
    checkpoint.save(
        path,
        kind=task.kind,
        step=run.step,
        config={"model": task.config_for_checkpoint(), "train": to_dict(run.settings) | {"input_peak": peak}},
        speakers=task.speakers,
        speaker_f0_hz=task.speaker_f0_hz,
        model=task.model.state_dict(),
        ema=run.ema.model.state_dict(),
        extra={name: module.state_dict() for name, module in task.extra.items()},
        optimizer=states,
        scheduler={"elapsed_s": run.elapsed_s, "ema_updates": run.ema.updates, "best": run.best},
        scaler=run.scaler.state_dict(),
        rng={"torch": torch.get_rng_state()},
    )


def restore(run: Trainer, path: Path) -> None:
    """Raises CheckpointError where the file is another kind's, or not of this configuration."""
    content = checkpoint.load(path, run.task.kind)
    with _fitting(str(path)):
        _restore(run, content)


def restore_optimizer(run: Trainer, name: str) -> None:
    """The state of one turn's optimiser, when that is made. Raises CheckpointError where it is another's."""
    with _fitting(f"{run.out}/last.pt: optimizer.{name}"):
        run.optimizers[name].load_state_dict(run.pending.pop(name))


@contextlib.contextmanager
def _fitting(what: str) -> Iterator[None]:
    """torch's own checks of names, shapes and states as one CheckpointError."""
    try:
        yield
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(
            f"{what} does not fit this configuration: {reason}",
            "go on with the configuration that it was made with, or choose another `out`",
        ) from None


def _restore(run: Trainer, content: dict) -> None:
    run.task.model.load_state_dict(content["model"])
    run.ema.model.load_state_dict(content["ema"])
    for name, module in run.task.extra.items():
        module.load_state_dict(content["extra"][name])
    run.pending = dict(content["optimizer"])
    state = content["scheduler"]
    run.step, run.elapsed_s = content["step"], float(state["elapsed_s"])
    run.best = None if state["best"] is None else float(state["best"])
    run.ema.updates = int(state["ema_updates"])
    if not 0 <= run.elapsed_s < math.inf or run.ema.updates < 0:
        raise ValueError(f"elapsed_s is {run.elapsed_s}, ema_updates {run.ema.updates}")
    run.scaler.load_state_dict(content["scaler"])
    torch.set_rng_state(content["rng"]["torch"])
