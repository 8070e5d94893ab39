"""Cells of an ablation → one table: for each system the mean over clips and seeds, and its bootstrap interval.

Every cell heard the same clips. A clip's figure is its mean over the seeds, so intervals tell how sure the mean over
clips is, for these trainings; how much trainings differ is told apart, by the least and the largest mean of a seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.ablation import plots as ablation_plots
from fastsvc import files
from fastsvc.errors import ConfigError
from fastsvc.evaluation import report
from fastsvc.evaluation.choir_table import COLUMNS
from fastsvc.evaluation.intervals import DRAWS, LEVEL, difference_interval, mean_interval

STUDENT = "student, "  # what evaluation calls the rows of an engine: "student, 4 steps"
PICTURE = "ablation.png"
SPEED = ("rtf", "mel_rtf")  # of machines, not of students


def table(cells: Mapping[str, Mapping[int, dict]], against: str = "") -> dict:
    """{cell: {seed: cell.json}} → {"systems": {system: {metric: …}}, "differences": …, "about": …}."""
    columns = {name: column for name, column in COLUMNS.items() if name not in SPEED}
    figures = _figures(cells, columns)
    summary = {name: {metric: _summary(values) for metric, values in of.items()} for name, of in figures.items()}
    for name, of in _diversity(cells).items():
        summary[name]["diversity"] = of
    if against and figures and against not in figures:
        if any(against.startswith(f"{cell}, ") for cell in cells):
            raise ConfigError(f"against: there is no row {against!r}", f"choose from {', '.join(figures)}")
        against = ""  # its cell is still to come
    differences = {
        name: {
            metric: dict(zip(("mean", "low", "high"), difference_interval(_clips(values), _clips(base[metric]))))
            for metric, values in of.items()
            if metric in (base := figures[against])
        }
        for name, of in figures.items()
        if against and name != against
    }
    seeds = sorted({seed for of in cells.values() for seed in of})
    dates = sorted({cell["date"] for of in cells.values() for cell in of.values()})
    machines = [cell["machine"]["hardware"] for of in cells.values() for cell in of.values()]
    about = {"seeds": seeds, "dates": dates, "machines": sorted(set(machines)), "against": against}
    stopped = {f"{name}, seed {s}": c["stopped"] for name, of in cells.items() for s, c in of.items() if c["stopped"]}
    return {"about": about, "systems": summary, "differences": differences, "stopped": stopped}


def _figures(cells, columns) -> dict[str, dict[str, dict[int, np.ndarray]]]:
    """{system: {metric: {seed: values [clips]}}}: rows that are nobody's student once, then "CELL, N steps"."""
    rows: dict[str, dict[int, list[dict]]] = {}
    for cell, of in cells.items():
        for seed, content in of.items():
            for row in content["rows"]:
                own = row["system"].startswith(STUDENT)
                name = f"{cell}, {row['system'].removeprefix(STUDENT)}" if own else row["system"]
                if own or seed not in rows.get(name, {}) or rows[name][seed][0]["from"] == cell:
                    rows.setdefault(name, {}).setdefault(seed, []).append(row | {"from": cell})
    others = [name for name in rows if not any(name.startswith(f"{cell}, ") for cell in cells)]
    found: dict = {}
    for name in [*others, *(name for name in rows if name not in others)]:
        seeds = dict(list(rows[name].items())[:1]) if name in others else rows[name]
        found[name] = {
            metric: {seed: np.array([_number(row.get(metric)) for row in of]) for seed, of in seeds.items()}
            for metric in columns
            if any(row.get(metric) is not None for of in seeds.values() for row in of)
        }
    return found


def _number(value) -> float:
    return math.nan if value is None else float(value)


def _clips(values: Mapping[int, np.ndarray]) -> np.ndarray:
    """The mean over seeds of each clip, NaN where any seed has none."""
    return np.stack(list(values.values())).mean(axis=0)


def _summary(values: Mapping[int, np.ndarray]) -> dict:
    mean, low, high = mean_interval(_clips(values))
    means = {seed: float(np.nanmean(v)) if np.isfinite(v).any() else math.nan for seed, v in values.items()}
    return {"mean": mean, "low": low, "high": high, "by_seed": means}


def _diversity(cells) -> dict[str, dict]:
    found = {}
    for cell, of in cells.items():
        for steps in dict.fromkeys(steps for content in of.values() for steps in content["diversity"]):
            by_seed = {seed: content["diversity"][steps] for seed, content in of.items()}
            mean = float(np.mean(list(by_seed.values())))
            name = f"{cell}, {steps} step{'s' * (int(steps) > 1)}"
            found[name] = {"mean": mean, "low": math.nan, "high": math.nan, "by_seed": by_seed}
    return found


def shown() -> dict:
    """What the table shows: the figures of an evaluation but for speed, and diversity."""
    measured = {name: column for name, column in COLUMNS.items() if name not in SPEED}
    return measured | {"diversity": ("diversity", 3, "high")}


def markdown(found: dict) -> str:
    """The table for people."""
    columns, about = shown(), found["about"]
    dates = " to ".join(dict.fromkeys((about["dates"][0], about["dates"][-1])))
    parts = [
        "# Ablation",
        f"Seeds {', '.join(map(str, about['seeds']))}; {', '.join(about['machines'])}; {dates}. "
        f"Behind each mean over clips and seeds stands its {LEVEL:.0%} interval from {DRAWS} bootstrap draws over "
        "clips. Diversity: deviation over noise, as a share of the teacher's.",
        report.markdown_table(found["systems"], columns),
        f"![{PICTURE}]({PICTURE})",
        "Least and largest mean of one seed:",
        _by_seed(found["systems"], columns),
    ]
    if found["differences"]:
        parts += [f"## Difference to {about['against']}, paired by clip"]
        parts += [report.markdown_table(found["differences"], columns, signed=True)]
    parts += [f"- {name} was ended by its guard: {why}" for name, why in found["stopped"].items()]
    parts += [f"- {name} failed: {why}" for name, why in found.get("failed", {}).items()]
    return "\n\n".join(parts) + "\n"


def _by_seed(systems: dict, columns: Mapping) -> str:
    used = [m for m in columns if any(m in of for of in systems.values())]
    lines = ["| " + " | ".join(["system", *(columns[m][0] for m in used)]) + " |", "|---" * (len(used) + 1) + "|"]
    for name, of in systems.items():
        cells = []
        for metric in used:
            values = list(of[metric]["by_seed"].values()) if metric in of else []
            digits = columns[metric][1]
            cells.append(f"{min(values):.{digits}f} … {max(values):.{digits}f}" if len(values) > 1 else "–")
        if any(cell != "–" for cell in cells):
            lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def write(out: Path, found: dict, clips: str = "") -> None:
    """ablation.json, ablation.md, their picture and, where it is given, clips.csv into ``out``. Raises OutputError."""
    files.write_json(out / "ablation.json", report.plain(found))
    files.write_text(out / "ablation.md", markdown(found))
    if clips:
        files.write_text(out / "clips.csv", clips)
    if found["systems"]:
        ablation_plots.picture(out / PICTURE, found["systems"], shown(), found["about"]["against"])
