"""The report of `fastsvc prepare`: the fate of every file of a dataset, also as report.json in the corpus."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc.data.pieces import RecordingItems
from fastsvc.data.scan import Recording
from fastsvc.data.store import save_json

FILE = "report.json"


@dataclass
class CorpusReport:
    """Counts and lists for the user. ``bad``: (path, reason) of the unusable recordings; ``others``: files that are
    not recordings; ``short_s``, ``silent_s``: seconds that used recordings lost as too short or silent pieces;
    ``refusals``: why training would refuse the corpus; ``units``, ``labels``: whether the corpus has them."""

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


def write(
    report: CorpusReport,
    dataset: Path,
    sources: Sequence[Recording],
    finished: dict[str, RecordingItems],
    split: dict[str, str],
):
    """Write report.json. Interrupted runs leave no trace: the same dataset and settings give the same file."""
    recordings = []
    for source in sources:
        result = finished.get(source.name)
        if result is None:
            continue
        recordings.append(
            {
                "file": os.fspath(source.path),
                "singer": source.singer,
                "song": source.song,
                "split": split.get(source.song),
                "items": len(result.items),
                "left_out_s": {"short": round(result.short_s, 3), "silent": round(result.silent_s, 3)},
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
