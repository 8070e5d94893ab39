"""A student's checkpoint with the singers of one's own alone: the base engine's rows were not trained along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastsvc.training import checkpoint, rows
from fastsvc.training.start import KINDS, TABLE


def write(source: Path, out: Path, singers: Sequence[str]) -> None:
    """Copy ``source`` (a student) to ``out`` with the rows of ``singers`` alone.

    With one singer the row joins the bias, as the condition of a model of one singer has no table.
    """
    content = checkpoint.load(source, KINDS)
    row_of = rows.positions(content["speakers"])
    chosen = [row_of[rows.key(name)] for name in singers]
    config, state = dict(content["config"]["model"]), dict(content["ema"])
    config["condition"] = dict(config["condition"], speakers=len(chosen))
    if TABLE in state:
        table = state.pop(TABLE)
        if len(chosen) == 1:
            state["condition.unit_embed.bias"] = state["condition.unit_embed.bias"] + table[chosen[0]]
        else:
            state[TABLE] = table[chosen].clone()
    checkpoint.save(
        out,
        kind=content["kind"],
        step=content["step"],
        config={"model": config, "train": content["config"].get("train") or {}},
        speakers=[content["speakers"][row] for row in chosen],
        speaker_f0_hz=[content["speaker_f0_hz"][row] for row in chosen],
        model=state,
        ema=state,
    )
