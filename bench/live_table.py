"""The figures of bench.live for people: the table of docs/live.md and its picture.

python -m bench.live_table bench/results/live.json [--plot docs/images/live.png]
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import json
from pathlib import Path

from bench import program

HEAD = (
    "block, ms",
    "look-ahead, ms",
    "delay, ms",
    "mel, dB",
    "PESQ",
    "f0, cents",
    "compute p50 / p99, ms",
    "late blocks",
    "real-time factor",
)


def table(result: dict) -> str:
    """A row for each pair of sizes."""
    lines = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    for one in sorted(result["rows"], key=lambda row: (row["block_ms"], row["lookahead_ms"])):
        sizes = " | ".join(f"{one[name]:g}" for name in ("block_ms", "lookahead_ms", "delay_ms"))
        mel = f"{one['mel_db']:.2g}" if one["mel_db"] < 0.1 else f"{one['mel_db']:.2f}"
        times = f"{one['processor_ms']['p50']:.0f} / {one['processor_ms']['p99']:.0f}"
        late = f"{one['late_by_processor']} of {one['blocks']}"
        close = f"{mel} | {one['pesq']:.2f} | {one['f0_rms_cents']:.1f}"
        lines.append(f"| {sizes} | {close} | {times} | {late} | {one['rtf_p95']:.2f} |")
    return "\n".join(lines) + "\n"


def plot(result: dict, path: Path) -> None:
    """PESQ over delay, a line for each block; hollow where one core does not compute it in time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6))
    rows = [row for row in result["rows"] if row["lookahead_ms"] < 500]
    for block_ms in sorted({row["block_ms"] for row in rows}):
        line = sorted((row for row in rows if row["block_ms"] == block_ms), key=lambda row: row["delay_ms"])
        points = [(row["delay_ms"], row["pesq"]) for row in line]
        (drawn,) = axes.plot(*zip(*points), linewidth=1.2, label=f"{block_ms:g} ms")
        for (x, y), row in zip(points, line):
            axes.plot(x, y, "o", color=drawn.get_color(), fillstyle="full" if row["rtf_p95"] < 1 else "none")
    axes.set(xlabel="block + look-ahead + filters, ms", ylabel="PESQ against one pass")
    axes.grid(True, alpha=0.3)
    axes.legend(title="block (hollow: late on this core)", loc="lower right", fontsize=8, title_fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("json", type=program.existing)
    parser.add_argument("--plot", type=program.result)
    options = parser.parse_args()
    result = json.loads(options.json.read_text(encoding="utf-8"))
    print(table(result), end="")
    if options.plot:
        plot(result, options.plot)


if __name__ == "__main__":
    program.start(main)
