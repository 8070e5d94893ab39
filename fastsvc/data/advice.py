"""What training will say of a corpus, told when it is prepared; and the command that comes next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsvc.data.account import Report


def refusals(corpus: dict) -> list[str]:
    """What `fastsvc train` refuses ``corpus`` (corpus.json) for, each with its remedy."""
    said = []
    if not _singers(corpus, "valid"):
        said.append(
            "no song is left for validation, so `fastsvc train` will refuse this corpus: add a second song of a singer "
            "(a file in the singer's folder, or a folder of parts), with --valid above 0, and prepare it again"
        )
    return said


def cautions(corpus: dict) -> list[str]:
    """What works, but not for all trainings."""
    valid = sorted(_singers(corpus, "valid"))
    if len(corpus["singers"]) == 1:
        return [
            f"{corpus['singers'][0]} is the only singer: teacher and student can be trained, but `train singer` and "
            "`train dmo` need a second one, to tell apart and to convert to"
        ]
    if len(valid) == 1:
        return [f"only {valid[0]} has a song for validation: `train singer` measures itself on two singers or more"]
    return []


def next_step(report: Report, command: list[str]) -> str:
    """The command that follows; ``command``: the one that prepared the corpus, to be repeated with more."""
    out = report.corpus
    if report.refusals:
        return f"next: more songs, then again: {shlex.join(command)}"
    if report.units:
        rest = "" if report.labels else "; recognisers need --pseudo-labels K besides"
        return f"next: fastsvc train teacher -c TEACHER.yaml, with `corpus: {out}` in it{rest}"
    if report.labels:
        return (
            f"next: fastsvc train recogniser -c RECOGNISER.yaml, with `corpus: {out}` in it; then its units: "
            f"{shlex.join([*command, '--encoder'])} RECOGNISER.pt"
        )
    return f"next: units, which training needs: {shlex.join([*command, '--encoder'])} ENGINE.fsvc --pseudo-labels 100"


def _singers(corpus: dict, split: str) -> set[str]:
    return {item["singer"] for item in corpus["items"] if item["split"] == split}
