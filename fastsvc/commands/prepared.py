"""The summary of `fastsvc prepare`: unused recordings and why, and the next command."""

from __future__ import annotations

from pathlib import Path

from fastsvc.audio import suffixes
from fastsvc.commands.common import say, verbosity, with_name
from fastsvc.data import account, advice

LINES = 20  # of each kind, without -v
NAMED = 5  # files that are not recordings: up to this many by name, more by kind


def print_summary(report: account.CorpusReport, dataset: str, config: str | None, like: str | None = None) -> None:
    """Print the summary; report.json has every line."""
    report_file = Path(report.corpus) / account.FILE
    for warning in _first(report.warnings, f"notes like these: see {report_file}"):
        say(f"note: {warning}")
    if report.short_s or report.silent_s:
        parts = (f"{report.short_s:.1f} s in pieces that are too short", f"{report.silent_s:.1f} s of silence")
        say(f"note: left out of recordings that are used: {', '.join(parts)} (which: {report_file})")
    if report.others:
        few = len(report.others) <= NAMED
        count = (
            "1 file is not a recording" if len(report.others) == 1 else f"{len(report.others)} files are not recordings"
        )
        names = ": " + ", ".join(map(str, report.others)) if few else f"; their names: {report_file}, or -v"
        say(f"note: {count} ({suffixes.count_text(suffixes.kinds(path.name for path in report.others))}){names}")
        for path in report.others if not few else ():
            say(f"not a recording: {path}", level=1)
    bad = [f"not used: {with_name(path, why)}" for path, why in report.bad]
    for line in _first(bad, f"recordings that are not used: see {report_file}"):
        say(line, error=True)
    for refusal in report.refusals:
        say(f"warning: {refusal}", error=True)
    recipe = [*(["--config", config] if config else []), *(["--like", like] if like else [])]
    command = ["fastsvc", "prepare", dataset, "-o", str(report.corpus), *recipe]
    say(advice.next_step(report, command))


def _first(lines: list[str], more: str) -> list[str]:
    if len(lines) <= LINES or verbosity() > 0:
        return lines
    return [*lines[:LINES], f"{len(lines) - LINES} more {more}"]
