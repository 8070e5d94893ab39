"""Every clip of an ablation as CSV, for other statistics than ours."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from fastsvc.evaluation.choir_table import COLUMNS

WHAT = ("system", "clip", "source", "target", "semitones", "seconds", "singer_heard")
DIGITS = 4


def clips_csv(cells: Mapping[str, Mapping[int, dict]]) -> str:
    """{cell: {seed: cell.json}} → one line for each clip of each cell and seed."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["cell", "seed", *WHAT, *COLUMNS])
    for cell, by_seed in cells.items():
        for seed, content in by_seed.items():
            for row in content["rows"]:
                lines.writerow([cell, seed, *(_plain(row.get(key)) for key in (*WHAT, *COLUMNS))])
    return out.getvalue()


def _plain(value):
    return round(value, DIGITS) if isinstance(value, float) else value
