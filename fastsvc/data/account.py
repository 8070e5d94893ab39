"""What became of every file of a dataset: the report of `fastsvc prepare`, and report.json in the corpus."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc.data.pieces import Made
from fastsvc.data.scan import Source
from fastsvc.data.store import save_json

FILE = "report.json"


@dataclass
class Report:
    """What became of the recordings. ``bad``: (path, why) of those that could not be used; ``others``: files that are
    not recordings; ``short_s``, ``silent_s``: seconds of pieces that were left out of recordings that are used;
    ``warnings``: what to know of the corpus; ``refusals``: what training will refuse it for;
    ``units``, ``labels``: whether it has them."""

    corpus: Path
    recordings: int = 0
    reused: int = 0  # done by an earlier run
    items: int = 0
    seconds: float = 0.0
    bad: list[tuple[str, str]] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    short_s: float = 0.0
    silent_s: float = 0.0
    warnings: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    units: bool = False
    labels: bool = False  # phones, or clusters in their place


def write(report: Report, dataset: Path, sources: Sequence[Source], kept: dict[str, Made], split: dict[str, str]):
    """report.json: the same for the same dataset and settings, however often a run was broken off."""
    recordings = []
    for source in sources:
        made = kept.get(source.name)
        if made is None:
            continue
        recordings.append(
            {
                "file": os.fspath(source.path),
                "singer": source.singer,
                "song": source.song,
                "split": split.get(source.song),
                "items": len(made.items),
                "left_out_s": {"short": round(made.short_s, 3), "silent": round(made.silent_s, 3)},
            }
        )
    content = {
        "dataset": os.fspath(dataset),
        "used": recordings,
        "not_used": [{"file": path, "why": why} for path, why in report.bad],
        "other_files": [os.fspath(path) for path in report.others],
        "warnings": report.warnings,
        "refused_by_training": report.refusals,
    }
    save_json(report.corpus / FILE, content)
