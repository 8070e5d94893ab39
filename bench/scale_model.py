"""How long 10⁶ songs take on 100 GPUs, and what that costs: arithmetic on stated assumptions, nothing is measured here.

python -m bench.scale_model           # prints the table of docs/scale.md; --write: into it
python -m bench.scale_model --songs 100000 --gpus 8
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

from dataclasses import dataclass
from pathlib import Path

from bench import program

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
BEGIN, END = "<!-- model: written by bench/scale_model.py -->\n", "<!-- end of model -->\n"


@dataclass(frozen=True)
class Assumptions:
    """``speed``: seconds of audio a GPU converts in one second, which nobody has measured for these engines yet."""

    songs: int = 1_000_000
    gpus: int = 100
    song_s: float = 240.0
    speed: float = 100.0
    overhead_s: float = 0.02  # a file beyond the engine's time: the bound that tests hold
    staged_s: float = 0.5  # fetching and putting, of which the next file's share is hidden behind the engine
    start_s: float = 120.0  # of a worker: Python, PyTorch, engine, kernels
    driver_s: float = 0.003  # of the driver, a file: settling, sending, report
    gpu_hour: float = 2.0  # currency units
    input_mb: float = 25.0  # stereo FLAC
    output_mb: float = 21.0  # mono wav, 16 bit, 44.1 kHz
    storage_gb_month: float = 0.023
    million_puts: float = 5.0
    million_gets: float = 0.4


def model(a: Assumptions) -> dict[str, float]:
    """Hours and costs. A put of a result is two: its line in the lists comes first."""
    engine_s = a.song_s / a.speed
    per_song_s = max(engine_s, a.staged_s) + a.overhead_s
    work_s = a.songs * per_song_s / a.gpus
    tail_s = 3 * engine_s  # the longest songs come first, so the last workers end within a few short ones
    wall_s = a.start_s + work_s + tail_s
    return {
        "wall_h": wall_s / 3600,
        "efficiency": a.songs * engine_s / (a.gpus * wall_s),
        "driver_busy": a.songs * a.driver_s / wall_s,
        "gpu_cost": a.gpus * wall_s / 3600 * a.gpu_hour,
        "request_cost": a.songs / 1e6 * (2 * a.million_puts + 3 * a.million_gets),
        "storage_cost_month": a.songs * a.output_mb / 1000 * a.storage_gb_month,
        "network_gbit": a.songs * (a.input_mb + a.output_mb) * 8 / 1000 / wall_s,
    }


def table(songs: int, gpus: int, speeds=(25.0, 50.0, 100.0, 200.0)) -> str:
    """As Markdown."""
    lines = [
        "| a GPU's speed | time | GPU hours | GPUs at 2 an hour | requests | efficiency | driver busy | network |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for speed in speeds:
        asked = Assumptions(songs, gpus, speed=speed)
        found = model(asked)
        lines.append(
            f"| {speed:g} × real time | {found['wall_h']:.1f} h | {found['wall_h'] * gpus:,.0f} "
            f"| {found['gpu_cost']:,.0f} | {found['request_cost']:.0f} | {100 * found['efficiency']:.0f} % "
            f"| {100 * found['driver_busy']:.0f} % | {found['network_gbit']:.0f} Gbit/s |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--songs", type=int, default=Assumptions.songs)
    parser.add_argument("--gpus", type=int, default=Assumptions.gpus)
    parser.add_argument("--write", action="store_true", help="write the table into docs/scale.md")
    asked = parser.parse_args()
    if asked.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(before + BEGIN + table(asked.songs, asked.gpus) + END + rest.split(END)[1], encoding="utf-8")
    else:
        print(table(asked.songs, asked.gpus))


if __name__ == "__main__":
    program.start(main)
