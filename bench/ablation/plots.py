"""The table of an ablation as a picture: a panel per metric, each training a mark, each system a mean and interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastsvc.evaluation import drawing

SHOWN = (
    "phone_error_rate",
    "mel_phone_error_rate",
    "singer_similarity",
    "mel_singer_similarity",
    "singer_correct",
    "mcd_db",
    "fpc_voiced",
    "f0_rmse_cents",
    "diversity",
)
WIDE = 3
REFERENCE, BASE, OTHER = drawing.GREY, drawing.BEFORE, drawing.AFTER


def picture(path, systems: Mapping[str, Mapping], columns: Mapping, against: str = "") -> Path:
    """``systems`` as :func:`bench.ablation.table.table` gives them; ``against``: drawn as a line."""
    names = list(systems)
    measured = {metric for by_metric in systems.values() for metric in by_metric}
    metrics = [metric for metric in SHOWN if metric in columns and metric in measured]
    high = -(-len(metrics) // WIDE)
    size = (3.4 * WIDE, (0.6 + 0.2 * len(names)) * high)
    with drawing.figure(path, high, WIDE, size, sharey=True) as axes:
        for panel, metric in zip(axes.flat, metrics):
            colours = [_colour(name, systems, against) for name in names]
            _draw_panel(panel, [systems[name].get(metric) for name in names], colours)
            if against in systems and metric in systems[against]:
                panel.axvline(systems[against][metric]["mean"], color=BASE, linewidth=0.9, alpha=0.6)
            heading, _, better = columns[metric]
            panel.set_title(f"{heading}, {better}er is better")
            panel.set_yticks(range(len(names)), names)
            panel.set_ylim(len(names) - 0.5, -0.5)
        for panel in axes.flat[len(metrics) :]:
            panel.set_visible(False)
    return Path(path)


def _colour(name: str, systems: Mapping, against: str) -> str:
    """Grey for systems without several trainings, orange for the row that others are compared with."""
    if name == against:
        return BASE
    trainings = max((len(cell.get("by_seed", ())) for cell in systems[name].values()), default=0)
    return OTHER if trainings > 1 else REFERENCE


def _draw_panel(panel, cells: Sequence[Mapping | None], colours: Sequence[str]) -> None:
    for row, (cell, colour) in enumerate(zip(cells, colours)):
        if cell is None or not math.isfinite(cell["mean"]):
            continue
        seeds = list(cell["by_seed"].values())
        panel.plot(seeds, [row] * len(seeds), "|", color=colour, markersize=9, alpha=0.7)
        if math.isfinite(cell["low"]):
            panel.plot([cell["low"], cell["high"]], [row, row], color=colour, linewidth=5, alpha=0.35)
        panel.plot([cell["mean"]], [row], "o", color=colour, markersize=5.5, markeredgecolor="white")
    panel.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    panel.set_axisbelow(True)
