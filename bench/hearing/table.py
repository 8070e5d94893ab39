"""Rows of bench/ears.py to means with intervals, markdown, CSV, and the verdict on the vocoder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from bench.hearing.rows import COLUMNS, COPY, GRIFFIN_LIM
from fastsvc.evaluation.choir_table import column
from fastsvc.evaluation.intervals import DRAWS, LEVEL, difference_interval
from fastsvc.evaluation.report import markdown_table, summarise

SYNTHETIC = "choir"  # the group
BAR = 0.3  # MOS that a vocoder may stay below Griffin-Lim of the same mel


def summaries(rows: Sequence[dict], seed: int = 0) -> dict[str, dict]:
    """Group of clips → {system: {metric: mean with interval}}, "all" first where there are several groups."""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    found = {"all": summarise(rows, COLUMNS, seed)} if len(groups) > 1 else {}
    return found | {name: summarise([row for row in rows if row["group"] == name], COLUMNS, seed) for name in groups}


def verdict(rows: Sequence[dict], bar: float = BAR, seed: int = 0) -> dict | None:
    """Whether copy-synthesis keeps within ``bar`` of Griffin-Lim in MOS, paired by clip; None where a row lacks.

    The synthetic choir does not count where there are human recordings.
    """
    rows = [row for row in rows if row["group"] != SYNTHETIC] or rows
    pairs = [column(rows, name, "mos") for name in (COPY, GRIFFIN_LIM)]
    if not all(len(one) for one in pairs):
        return None
    mean, low, high = difference_interval(*pairs, seed)
    means = [float(one.mean()) for one in pairs]
    passed = mean >= -bar
    line = (
        f"{'passed' if passed else 'FAILED'}: copy-synthesis has MOS {means[0]:.2f}, Griffin-Lim of the same mel "
        f"{means[1]:.2f} (difference {mean:+.2f}, {low:+.2f} … {high:+.2f}; bar −{bar:g})"
    )
    return {"passed": passed, "line": line, "difference": mean, "low": low, "high": high, "bar": bar}


def markdown(result: Mapping) -> str:
    """The whole result for people."""
    head = (
        f"{result['date']}, {result['machine']['hardware']}. Command: `{result['command']}`. "
        f"Engine: {result['engine']}. "
        f"Behind each mean stands its {LEVEL:.0%} interval from {DRAWS} bootstrap draws over clips."
    )
    parts = ["# How it sounds, by judges that were not trained here", head]
    parts += ["\n".join(f"- {note}" for note in result["notes"])] if result["notes"] else []
    for title, part in (("", "summary"), (", one stage exchanged at a time", "stages_summary")):
        for group, summary in result[part].items():
            count = len({row["clip"] for row in result["rows" if part == "summary" else "stages"] if _in(row, group)})
            parts += [f"## {group}{title} ({count} clips)", markdown_table(summary, COLUMNS)]
    if result.get("verdict"):
        parts.append(f"Vocoder {result['verdict']['line']}.")
    return "\n\n".join(parts) + "\n"


def comma_separated(rows: Sequence[dict]) -> str:
    """Every row of every clip, for a spreadsheet."""
    names = ["clip", "group", "system", "target", "semitones", *COLUMNS]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in row.items() if name in names})
    return text.getvalue()


def _in(row: dict, group: str) -> bool:
    return group in ("all", row["group"])
