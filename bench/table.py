"""The figures of `bench.latency` for people: Markdown and a plot."""

from __future__ import annotations

import collections
from collections.abc import Callable
from pathlib import Path

from bench import circumstances
from bench.peer_names import DESCRIPTIONS
from bench.rvc_stages import LATENT
from bench.stages import WHOLE


def markdown(result: dict) -> str:
    """Roofs, stages, peers, cold start and throughput."""
    engine, roofs = result["engine"], result["roofs"]
    parts = [
        f"{machine_name(result)}; {engine['precision']}, {engine['how']}. Roofs: {roofs['tflops']:g} TFLOP/s"
        f" ({roofs['precision']}, {roofs['product']}), {roofs['copy_gbs']:g} GB/s. Resampling: {result['resampling']}."
        f" {circumstances.load_line(result)}",
        stage_table(result["stages"]),
    ]
    if "early" in result:
        parts.append(early_table(result["early"]))
    if result["vocoders"]:
        parts.append(vocoder_table(result["vocoders"]))
    if result["peers"]:
        parts.append(peer_table(result))
    if "cold" in result:
        parts.append(extras(result))
    return "\n\n".join(parts)


def machine_name(result: dict) -> str:
    machine = result["machine"]
    return machine["gpu"]["name"] if "gpu" in machine else f"{machine['cpu']}, {machine['threads']} threads"


def stage_table(rows: list[dict]) -> str:
    heads = ("audio", "steps", "stage", "p50 ms", "p20", "p80", "busy ms", "% of floor", "launches", "MB")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [f"{row['seconds']:g} s", row["steps"], row["stage"]]
        cells += [f"{row[key]:.3f}" for key in ("p50_ms", "p20_ms", "p80_ms")]
        cells += [_or_dash(row.get(key)) for key in ("busy_ms", "percent_of_floor", "launches", "peak_mb")]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def peer_table(result: dict) -> str:
    """Medians of the peers, and how many times faster the engine's denoiser is, or its text encoder and flow."""
    rvc, engine_ms = any(row["stage"] in LATENT for row in result["stages"]), collections.defaultdict(float)
    for row in result["stages"]:
        if row["stage"] in (LATENT if rvc else ("denoiser",)):
            engine_ms[row["seconds"], row["steps"]] += row["p50_ms"]
    lines = [f"| audio | steps | {' and '.join(LATENT) if rvc else 'denoiser'} | p50 ms | engine is faster by |"]
    lines.append("|" + "---|" * 5)
    for row in result["peers"]:
        key = row["seconds"], row["steps"]
        cells = [f"{row['seconds']:g} s", row["steps"], DESCRIPTIONS[row["peer"]]]
        if "skipped" in row:
            continue
        faster = f"{row['p50_ms'] / engine_ms[key]:.2f}×" if key in engine_ms else "–"
        cells += [f"{row['p50_ms']:.3f}", faster]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return with_skipped(lines, result["peers"], lambda row: DESCRIPTIONS[row["peer"]])


def with_skipped(lines: list[str], rows: list[dict], name: Callable[[dict], str]) -> str:
    """The table's lines, if it has rows; then a line for each reason why others were not measured."""
    reasons: dict[str, dict] = {}
    for row in rows:
        if "skipped" in row:
            reasons.setdefault(row["skipped"], {})[name(row)] = None
    told = [f"Not measured: {'; '.join(names)}: {why}." for why, names in reasons.items()]
    return "\n\n".join(["\n".join(lines)] * (len(lines) > 2) + told)


def early_table(rows: list[dict]) -> str:
    """Pairs of rows, plain and early (bench/early.py)."""
    if "skipped" in rows[0]:
        return f"Programmatic dependent launch not measured: {rows[0]['skipped']}."
    lines = ["| audio | steps | denoiser p50 ms | with programmatic dependent launch | faster by |", "|" + "---|" * 5]
    for plain, early in zip(rows[::2], rows[1::2]):
        times = f"{plain['p50_ms']:.4f} | {early['p50_ms']:.4f} | {plain['p50_ms'] / early['p50_ms']:.2f}×"
        lines.append(f"| {plain['seconds']:g} s | {plain['steps']} | {times} |")
    return "\n".join(lines)


def vocoder_table(rows: list[dict]) -> str:
    """Medians of the vocoder by every backend, and of the plain generator; what could not run with its reason."""
    lines = ["| audio | vocoder | p50 ms | % of floor | against plain float32 |", "|" + "---|" * 5]
    plain = {row["seconds"]: row["p50_ms"] for row in rows if row.get("peer") == "eager32" and "p50_ms" in row}
    for row in rows:
        if "skipped" in row:
            continue
        faster = f"{plain[row['seconds']] / row['p50_ms']:.2f}×" if row["seconds"] in plain else "–"
        cells = [f"{row['seconds']:g} s", vocoder_name(row), f"{row['p50_ms']:.3f}"]
        lines.append("| " + " | ".join([*cells, _or_dash(row.get("percent_of_floor")), faster]) + " |")
    return with_skipped(lines, rows, vocoder_name)


def vocoder_name(row: dict) -> str:
    return row["backend"] if "backend" in row else f"generator alone, {DESCRIPTIONS[row['peer']]}"


def extras(result: dict) -> str:
    cold, flow = result["cold"], result["throughput"]
    first = f"not measured: {cold['skipped']}" if "skipped" in cold else f"{cold['first_audio_s']:.2f} s"
    return (
        f"Cold start (process start to first audio): {first}. Throughput, {flow['files']} files of"
        f" {flow['file_s']:g} s, mel and vocoder: {flow['audio_s_per_s']:g} s of audio a second."
    )


def _or_dash(value) -> str:
    return "–" if value is None else str(value)


def plot(result: dict, path: Path) -> None:
    """Median time over length of audio, a line for each stage, at the fewest steps; both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = result["stages"]
    steps = min(row["steps"] for row in rows)
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name in dict.fromkeys(row["stage"] for row in rows):
        points = [(r["seconds"], r["p50_ms"]) for r in rows if r["stage"] == name and r["steps"] == steps]
        axes.plot(*zip(*points), marker="o", linewidth=2.5 if name == WHOLE else 1.2, label=name)
    axes.set(xscale="log", yscale="log", xlabel="seconds of audio", ylabel="ms (median)")
    axes.set_title(f"{machine_name(result)}, {result['engine']['precision']}, {steps} step" + "s" * (steps > 1))
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
