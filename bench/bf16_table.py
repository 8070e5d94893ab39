"""The figures of `bench.bf16` for people, and their place in a page of the documentation."""

from __future__ import annotations

import textwrap
from pathlib import Path

from fastsvc import files

BEGIN, END = "<!-- bf16: written by bench/bf16.py -->\n", "<!-- end of bf16 -->\n"
LOADS = "load_1min", "load_1min_after"
TITLES = {
    "denoiser": "Denoiser 512×20, {seconds:g} s, one evaluation",
    "forms": "The same, forms of the bf16 denoiser that were tried",
    "vocoder": "Vocoder m4, 512 channels, {seconds:g} s",
    "content": "HuBERT-base, {seconds:g} s",
    "whole": "Whole conversion with HuBERT-base, {seconds:g} s, one step, f0 and resampling included",
}


def tables(result: dict) -> str:
    """All cases, and once each machine and command that they come from."""
    parts = []
    for name, title in TITLES.items():
        if name in result:
            figures = result[name]["figures"]
            parts.append(f"**{title.format(**figures)}**\n\n{_turns(figures)}")
    if "caps" in result:
        parts.append(f"**What `auto` measures and takes where oneDNN shows less**\n\n{_caps(result['caps'])}")
    if "demo" in result:
        parts.append(f"**Bundled voices, bf16 against float32**\n\n{_demo(result['demo'])}")
    loads: dict[str, list[float]] = {}
    for entry in result.values():
        loads.setdefault(_about(entry), []).extend(entry[name] for name in LOADS if entry.get(name) is not None)
    for about, found in loads.items():
        load = f" Load of the machine: {min(found):g} to {max(found):g}." if found else ""
        parts.append(textwrap.fill(about + load, 120, break_long_words=False, break_on_hyphens=False))
    return "\n\n".join(parts) + "\n"


def write(page: Path, text: str) -> None:
    """Put the tables between the page's marks. Raises SystemExit where the page lacks them."""
    old = page.read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{page} lacks the lines {BEGIN.strip()} and {END.strip()}")
    before, _, rest = old.partition(BEGIN)
    files.write_text(page, f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def _turns(figures: dict) -> str:
    factor, gflop = any("real_time_factor" in row for row in figures["rows"].values()), figures.get("gflop")
    head = ["", "wall ms", "× first", "processor ms", "× first", "relative RMS"]
    head += ["real-time factor", "of processor time"] * factor + ["GFLOP/s of processor time"] * bool(gflop)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in figures["rows"].items():
        cells = [name, f"{row['wall_ms']:g}", f"{row['ratio']:.2f}", f"{row['cpu_ms']:g}", f"{row['cpu_ratio']:.2f}"]
        cells.append("–" if row["error"] is None else f"{row['error']:.1e}")
        if factor:
            cells += [f"{row['real_time_factor']:.3f}", f"{row['cpu_real_time_factor']:.3f}"]
        if gflop:
            cells.append(f"{1e3 * gflop / row['cpu_ms']:.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _caps(entry: dict) -> str:
    lines = ["| shown to oneDNN | bf16 against float32 | takes bf16 for | bits |", "|---|---|---|---|"]
    for name, row in entry["figures"]["rows"].items():
        speedups = ", ".join(f"{part} {value:g}×" for part, value in row["speedup"].items())
        bits = "float32's" if row["same_bits"] else "bf16's"
        lines.append(f"| {name} | {speedups} | {', '.join(row['bf16']) or 'nothing'} | {bits} |")
    return "\n".join(lines)


def _demo(entry: dict) -> str:
    lines = ["| recording | PESQ (up to 4.64) | relative RMS | f0, RMS difference |", "|---|---|---|---|"]
    for row in entry["figures"]["rows"]:
        pesq, rms = row.get("pesq", "not measured"), row.get("relative_rms", "–")
        lines.append(f"| {row['recording']}, {row['seconds']:g} s | {pesq} | {rms} | {row['f0_cents']:g} cents |")
    return "\n".join(lines)


def _about(entry: dict) -> str:
    machine, versions = entry["machine"], entry["versions"]
    about = f"{machine['cpu']} ({', '.join(machine['flags'])}), {machine['cores']} cores, {machine['threads']} thread"
    return f"{about}, PyTorch {versions['torch']}, {entry['date'][:10]}: `{entry['command']}`."
