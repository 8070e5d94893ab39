"""Messages at the end of `fastsvc prepare`: why training would refuse the corpus, and the next command."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsvc.data.account import CorpusReport


def refusals(corpus: dict) -> list[str]:
    """Why `fastsvc train` would refuse ``corpus`` (corpus.json); each message names its remedy."""
    messages = []
    if not _singers(corpus, "valid"):
        messages.append(
            "no song is left for validation, so `fastsvc train` will refuse this corpus: add a second song of a singer "
            "(a file in the singer's folder, or a folder of parts), with --valid above 0, and prepare it again"
        )
    return messages


def cautions(corpus: dict) -> list[str]:
    """Lines for a corpus that serves some trainings but not all."""
    valid = sorted(_singers(corpus, "valid"))
    if len(corpus["singers"]) == 1:
        return [
            f"{corpus['singers'][0]} is the only singer: teacher and student can be trained, but `train singer` and "
            "`train dmo` need a second one, to tell apart and to convert to"
        ]
    if len(valid) == 1:
        return [f"only {valid[0]} has a song for validation: `train singer` measures itself on two singers or more"]
    return []


def next_step(report: CorpusReport, command: list[str]) -> str:
    """The user's next command; ``command``: the one that prepared this corpus, to be repeated with more."""
    out = report.corpus
    if report.refusals:
        return f"next: more songs, then again: {shlex.join(command)}"
    if report.units:
        note = "" if report.labels else "; recognisers need --pseudo-labels K besides"
        return f"next: fastsvc train teacher -c TEACHER.yaml, with `corpus: {out}` in it{note}"
    if report.labels:
        return (
            f"next: fastsvc train recogniser -c RECOGNISER.yaml, with `corpus: {out}` in it; then its units: "
            f"{shlex.join([*command, '--encoder'])} RECOGNISER.pt"
        )
    return f"next: units, which training needs: {shlex.join([*command, '--encoder'])} ENGINE.fsvc --pseudo-labels 100"


def _singers(corpus: dict, split: str) -> set[str]:
    return {item["singer"] for item in corpus["items"] if item["split"] == split}
