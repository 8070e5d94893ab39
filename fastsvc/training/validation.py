"""Validation within a run: figures and samples of the averaged weights, and best.pt."""

from __future__ import annotations

import math
from typing import Any

import torch

from fastsvc.training.logging import Log, plain


def save_and_validate(run: Any, log: Log) -> None:
    """Validate a fastsvc.training.loop.Trainer.

    It is saved first, so that a failing validation loses no step; and again where a new best was found.
    """
    best = run.best
    run.save("last.pt")
    validate(run, log)
    if run.best != best:
        run.save("last.pt")


@torch.no_grad()
def validate(run: Any, log: Log) -> None:
    """Held-out figures with the EMA weights; keeps best.pt."""
    if not run.group.first:
        return
    model, task = run.ema.model.eval(), run.task
    figures = plain(task.validate(model))
    if figures:
        log.figures(run.step, figures, "valid")
        log.say(f"step {run.step}: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
    if log.board or run.on_samples:
        samples = task.samples(model)
        log.samples(run.step, samples)
        if run.on_samples:
            run.on_samples(run.step, samples)
    verdict = task.verdict(figures)
    for line in verdict.warnings:
        log.say(f"step {run.step}: warning: {line}")
    run.reason = verdict.stop
    _keep_best(run, figures)


def _keep_best(run: Any, figures: dict[str, float]) -> None:
    best = run.task.best
    if not best or best[0] not in figures:
        return
    name, direction = best
    value = figures[name]
    better = run.best is None or (value < run.best if direction == "min" else value > run.best)
    if better and math.isfinite(value):
        run.best = value
        run.save("best.pt")
