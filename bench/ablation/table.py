"""Cells of an ablation → one table: for each system the mean over clips and seeds, and its bootstrap interval.

Every cell has the same clips. A clip's figure is its mean over the seeds, so intervals show the uncertainty of the mean
over clips, for these trainings. The least and the largest mean of a seed show how much trainings differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.ablation import plots
from fastsvc import files
from fastsvc.errors import ConfigError
from fastsvc.evaluation import report
from fastsvc.evaluation.choir_table import COLUMNS
from fastsvc.evaluation.intervals import DRAWS, LEVEL, difference_interval, mean_interval

STUDENT = "student, "  # evaluation's name for the rows of an engine: "student, 4 steps"
PICTURE = "ablation.png"
SPEED = ("rtf", "mel_rtf")  # of machines, not of students


def table(cells: Mapping[str, Mapping[int, dict]], against: str = "") -> dict:
    """{cell: {seed: cell.json}} → {"systems": {system: {metric: …}}, "differences": …, "about": …}."""
    columns = {name: column for name, column in COLUMNS.items() if name not in SPEED}
    figures = _figures(cells, columns)
    summary = {
        name: {metric: _summary(values) for metric, values in by_metric.items()} for name, by_metric in figures.items()
    }
    for name, share in _diversity(cells).items():
        summary[name]["diversity"] = share
    if against and figures and against not in figures:
        if any(against.startswith(f"{cell}, ") for cell in cells):
            raise ConfigError(f"against: there is no row {against!r}", f"choose from {', '.join(figures)}")
        against = ""  # its cell is still to come
    differences = {
        name: {
            metric: dict(zip(("mean", "low", "high"), difference_interval(_clips(values), _clips(base[metric]))))
            for metric, values in by_metric.items()
            if metric in (base := figures[against])
        }
        for name, by_metric in figures.items()
        if against and name != against
    }
    contents = {(name, seed): content for name, by_seed in cells.items() for seed, content in by_seed.items()}
    about = {
        "seeds": sorted({seed for _, seed in contents}),
        "dates": sorted({content["date"] for content in contents.values()}),
        "machines": sorted({content["machine"]["hardware"] for content in contents.values()}),
        "against": against,
    }
    stopped = {f"{name}, seed {seed}": c["stopped"] for (name, seed), c in contents.items() if c["stopped"]}
    return {"about": about, "systems": summary, "differences": differences, "stopped": stopped}


def _figures(cells, columns) -> dict[str, dict[str, dict[int, np.ndarray]]]:
    """{system: {metric: {seed: values [clips]}}}: teacher and references once, then students as "CELL, N steps"."""
    rows: dict[str, dict[int, list[dict]]] = {}
    for cell, by_seed in cells.items():
        for seed, content in by_seed.items():
            for row in content["rows"]:
                is_student = row["system"].startswith(STUDENT)
                name = f"{cell}, {row['system'].removeprefix(STUDENT)}" if is_student else row["system"]
                if is_student or seed not in rows.get(name, {}) or rows[name][seed][0]["from"] == cell:
                    rows.setdefault(name, {}).setdefault(seed, []).append(row | {"from": cell})
    references = [name for name in rows if not any(name.startswith(f"{cell}, ") for cell in cells)]
    figures: dict = {}
    for name in [*references, *(name for name in rows if name not in references)]:
        seeds = dict(list(rows[name].items())[:1]) if name in references else rows[name]
        figures[name] = {
            metric: {seed: np.array([_number(row.get(metric)) for row in by_seed]) for seed, by_seed in seeds.items()}
            for metric in columns
            if any(row.get(metric) is not None for by_seed in seeds.values() for row in by_seed)
        }
    return figures


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
    diversity = {}
    for cell, by_seed in cells.items():
        for steps in dict.fromkeys(steps for content in by_seed.values() for steps in content["diversity"]):
            shares = {seed: content["diversity"][steps] for seed, content in by_seed.items()}
            mean = float(np.mean(list(shares.values())))
            name = f"{cell}, {steps} step{'s' * (int(steps) > 1)}"
            diversity[name] = {"mean": mean, "low": math.nan, "high": math.nan, "by_seed": shares}
    return diversity


def shown() -> dict:
    """The columns of the table: an evaluation's figures without speed, and diversity."""
    measured = {name: column for name, column in COLUMNS.items() if name not in SPEED}
    return measured | {"diversity": ("diversity", 3, "high")}


def markdown(result: dict) -> str:
    """The table for people."""
    columns, about = shown(), result["about"]
    dates = " to ".join(dict.fromkeys((about["dates"][0], about["dates"][-1])))
    parts = [
        "# Ablation",
        f"Seeds {', '.join(map(str, about['seeds']))}; {', '.join(about['machines'])}; {dates}. "
        f"Behind each mean over clips and seeds stands its {LEVEL:.0%} interval from {DRAWS} bootstrap draws over "
        "clips. Diversity: deviation over noise, as a share of the teacher's.",
        report.markdown_table(result["systems"], columns),
        f"![{PICTURE}]({PICTURE})",
        "Least and largest mean of one seed:",
        _by_seed(result["systems"], columns),
    ]
    if result["differences"]:
        parts += [f"## Difference to {about['against']}, paired by clip"]
        parts += [report.markdown_table(result["differences"], columns, signed=True)]
    parts += [f"- {name} was ended by its guard: {why}" for name, why in result["stopped"].items()]
    parts += [f"- {name} failed: {why}" for name, why in result.get("failed", {}).items()]
    return "\n\n".join(parts) + "\n"


def _by_seed(systems: dict, columns: Mapping) -> str:
    used = [m for m in columns if any(m in by_metric for by_metric in systems.values())]
    lines = ["| " + " | ".join(["system", *(columns[m][0] for m in used)]) + " |", "|---" * (len(used) + 1) + "|"]
    for name, by_metric in systems.items():
        cells = []
        for metric in used:
            values = list(by_metric[metric]["by_seed"].values()) if metric in by_metric else []
            digits = columns[metric][1]
            cells.append(f"{min(values):.{digits}f} … {max(values):.{digits}f}" if len(values) > 1 else "–")
        if any(cell != "–" for cell in cells):
            lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def write(out: Path, result: dict, clips: str = "") -> None:
    """ablation.json, ablation.md, their picture and, if not "", clips.csv into ``out``. Raises OutputError."""
    files.write_json(out / "ablation.json", report.plain(result))
    files.write_text(out / "ablation.md", markdown(result))
    if clips:
        files.write_text(out / "clips.csv", clips)
    if result["systems"]:
        plots.picture(out / PICTURE, result["systems"], shown(), result["about"]["against"])
