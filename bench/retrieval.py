"""Retrieval from an index of RVC: time and memory of a search, on random vectors.

python -m bench.retrieval --threads 1 --json bench/results/retrieval.json

Lists are as RVC makes them: 16·√n, at most n / 39. Memory is what the process grew by: its peak during the searches
less what was resident before them.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import math
import time

from bench import program
from fastsvc import files

UNITS_A_SECOND = 50


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--vectors", type=program.whole_number, default=100_000)
    parser.add_argument("--channels", type=program.whole_number, default=768)
    parser.add_argument("--seconds", type=program.length, default=60.0, help="of audio")
    parser.add_argument("--repeats", type=program.whole_number, default=3)
    parser.add_argument("--threads", type=program.whole_number, default=1)
    parser.add_argument("--json", type=program.result, metavar="FILE")
    options = parser.parse_args()
    import torch

    from fastsvc.evaluation import machine

    torch.set_num_threads(options.threads)
    searches = measure(options.vectors, options.channels, round(options.seconds * UNITS_A_SECOND), options.repeats)
    for name, figures in searches.items():
        print(f"{name}: {figures['median_s']:.2f} s, {figures['cpu_s']:.2f} s of the processor, {figures['mb']} MB")
    if options.json:
        head = machine.describe("cpu") | {"command": "python -m bench.retrieval " + " ".join(sys.argv[1:])}
        sizes = {name: getattr(options, name) for name in ("vectors", "channels", "seconds", "threads")}
        files.write_json(options.json, head | sizes | {"searches": searches})


def measure(vectors: int, channels: int, queries: int, repeats: int) -> dict:
    """Search → median seconds of wall and processor time, and the memory that it took in MB."""
    import torch

    from bench.cases import forget_peak, peak_mb
    from fastsvc.arguments import INDEX_SEARCHES
    from fastsvc.features.retrieval import Retrieval

    generator = torch.Generator().manual_seed(0)
    lists = max(1, min(round(16 * math.sqrt(vectors)), vectors // 39))
    centroids = torch.randn(lists, channels, generator=generator)
    sizes = torch.full((lists,), vectors // lists, dtype=torch.int32)
    sizes[: vectors % lists] += 1
    spread = 0.5 * torch.randn(vectors, channels, generator=generator)
    rows = spread.add_(centroids.repeat_interleave(sizes.long(), dim=0)).half()
    retrieval, units = Retrieval(rows, sizes, centroids), torch.randn(queries, channels, generator=generator)
    del spread
    result = {}
    for search in INDEX_SEARCHES:
        walls, processor, before = [], [], forget_peak()
        for _ in range(repeats):
            start, cpu = time.perf_counter(), time.process_time()
            retrieval.found(units, search)
            walls.append(time.perf_counter() - start)
            processor.append(time.process_time() - cpu)
        middle = sorted(walls)[repeats // 2], sorted(processor)[repeats // 2]
        result[search] = {"median_s": round(middle[0], 6), "cpu_s": round(middle[1], 6), "mb": peak_mb() - before}
    return result


if __name__ == "__main__":
    program.start(main)
