"""Recordings spread over a Ray cluster that is simulated on this machine: efficiency, overhead, a node that dies.

python -m bench.scale --out scale.json     # needs pip install "fastsvc[ray]"
python -m bench.scale --nodes --out …      # without Ray: what a file costs this machine's processor
python -m bench.scale --table scale.json   # writes the table of docs/scale.md

The engine waits instead of computing (bench/scale_engine.py), so simulated nodes do not share a processor for their
work; what they share is this machine's processor for Ray, decoding and writing, which real nodes would not.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

from pathlib import Path

from bench import program


def main() -> None:
    options = _options()
    from bench import scale_runs

    if options.table:
        scale_runs.write_table(options.table)
    else:
        scale_runs.measured(options.nodes, options.files, options.cost, options.out)


def _options():
    parser = program.parser(__doc__)
    parser.add_argument(
        "--nodes", type=int, nargs="*", default=[1, 2, 4], help="sizes of simulated clusters; none: no Ray"
    )
    parser.add_argument("--files", type=int, default=200, help="recordings of one second (default: 200)")
    parser.add_argument("--cost", type=float, default=0.25, help="seconds of the engine for a file (default: 0.25)")
    parser.add_argument("--out", type=Path, help="JSON of the results")
    parser.add_argument(
        "--table", type=program.existing, metavar="JSON", help="write the table of docs/scale.md and end"
    )
    return parser.parse_args()


if __name__ == "__main__":
    program.start(main)
