"""Rows to means with intervals, and both to evaluation.json and evaluation.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastsvc import files
from fastsvc.evaluation import choir_table, recordings_table
from fastsvc.evaluation.choir_table import column
from fastsvc.evaluation.intervals import DRAWS, LEVEL, difference_interval, mean_interval


def summarise(rows: Sequence[dict], columns: Mapping, seed: int = 0) -> dict:
    """{system: {metric: {"mean", "low", "high", "clips"}}}, in the order of first appearance."""
    table: dict = {}
    for system in dict.fromkeys(row["system"] for row in rows):
        table[system] = {}
        for metric in columns:
            values = column(rows, system, metric)
            counted = int(sum(map(math.isfinite, values)))
            if counted:
                mean, low, high = mean_interval(values, seed)
                table[system][metric] = {"mean": mean, "low": low, "high": high, "clips": counted}
    return table


def differences(rows: Sequence[dict], against: str, columns: Mapping, seed: int = 0) -> dict:
    """The same for each system's paired difference to ``against``."""
    table: dict = {}
    for system in dict.fromkeys(row["system"] for row in rows):
        if system == against:
            continue
        table[system] = {}
        for metric in columns:
            a, b = (column(rows, name, metric) for name in (system, against))
            mean, low, high = difference_interval(a, b, seed)
            if math.isfinite(mean):
                table[system][metric] = {"mean": mean, "low": low, "high": high}
    return table


def markdown_table(summary: Mapping, columns: Mapping, first: str = "system", signed: bool = False) -> str:
    """A summary as a markdown table: mean and, small, its interval."""
    used = [metric for metric in columns if any(metric in cells for cells in summary.values())]
    arrow = {"low": "↓", "high": "↑", "zero": "→ 0"}
    head = [first] + [columns[m][0] + ("" if signed else " " + arrow[columns[m][2]]) for m in used]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, cells in summary.items():
        lines.append("| " + " | ".join([name] + [_cell(cells.get(m), columns[m][1], signed) for m in used]) + " |")
    return "\n".join(lines)


def _cell(value: dict | None, digits: int, signed: bool) -> str:
    if value is None:
        return "–"
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    text = form.format(value["mean"])
    if value["low"] is not None and math.isfinite(value["low"]):  # None as read from JSON
        text += f" <sub>{form.format(value['low'])} … {form.format(value['high'])}</sub>"
    return text


def markdown(result: dict) -> str:
    """The whole report for people."""
    machine, settings = result["machine"], result["settings"]
    parts = [
        "# Evaluation",
        f"{result['date']}, {machine['hardware']}, {machine['system']}; "
        + ", ".join(f"{name} {version}" for name, version in result["versions"].items())
        + ".",
        f"Command: `{result['command']}`; seed {settings['seed']}.",
        f"Model: `{result['model']['name']}`, {result['model']['voices']} voices. "
        f"Behind each mean stands its {LEVEL:.0%} interval from {DRAWS} bootstrap draws over clips.",
    ]
    parts += ["\n".join(f"- {note}" for note in result["notes"])] if result["notes"] else []
    if "choir" in result:
        parts += _choir_part(result["choir"])
    if "recordings" in result:
        parts += _recordings_part(result["recordings"])
    return "\n\n".join(parts) + "\n"


def _choir_part(choir: dict) -> list[str]:
    clips = len({row["clip"] for row in choir["rows"]})
    columns = choir_table.COLUMNS
    parts = [
        "## Choir: unseen singers, unseen songs",
        f"{clips} clips, {choir['seconds']:.0f} s in all. The true target is the same performance rendered by the "
        "target's own voice. Synthetic voices: the figures show that the program is right and how systems compare; "
        "as absolute numbers they do not carry over to real singing.",
        markdown_table(choir["summary"], columns),
        "mel L1 (log10, at equal RMS) and MCD (13 cepstra of the log-mel, no warping) are over frames within 45 dB of "
        "the loudest. Both are blind to level; MCD with c₀ and level compare results as loud as they are. f0 is "
        "tracked in the output: voiced FPC and RMSE compare it with the exact pitch, so the row of "
        "the true target shows the tracker's own error; FPC over all frames and V/UV F1 compare it with the true "
        "target as tracked. PER and singer are by judges held out from training. RTF is the whole conversion, mel RTF "
        "features to mel alone.",
    ]
    if choir["differences"]:
        parts += [f"### Difference to {choir['against']}, paired by clip"]
        parts += [markdown_table(choir["differences"], columns, signed=True)]
    return parts + [f"![{picture}]({picture})" for picture in choir.get("pictures", ())]


def _recordings_part(recordings: dict) -> list[str]:
    rows = recordings["rows"]
    parts = [
        "## Recordings",
        f"{len({row['file'] for row in rows})} recordings × {len({row['target'] for row in rows})} voices, one step, "
        "transposed by whole semitones to the voice's pitch. Pitch is compared with the input's own as tracked, after "
        "the transposition; similarity is the cosine to the target's centroid and to the input itself.",
        markdown_table(recordings["summary"], recordings_table.COLUMNS, first="voice"),
    ]
    if any("mos" in row for row in rows):
        parts.append(
            "MOS, voice to source (Resemblyzer) and f0 within 50 cents (swift-f0) are by public judges; level, pauses, "
            "before onsets and sharpness compare the result with its input (docs/ears.md)."
        )
    if recordings.get("failed"):
        lines = [f"- {path}: {why}" for path, why in recordings["failed"].items()]
        parts.append("\n".join(["Left out:", "", *lines]))
    return parts + [f"![{picture}]({picture})" for picture in recordings.get("pictures", ())]


def write(out: Path, result: dict) -> None:
    """evaluation.json and evaluation.md into ``out``, each whole or not at all. Raises OutputError."""
    files.write_json(out / "evaluation.json", plain(result))
    files.write_text(out / "evaluation.md", markdown(result))


def plain(value):
    """The value for JSON, which has no NaN: missing figures become null; floats get six digits."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
