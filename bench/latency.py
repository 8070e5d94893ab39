"""How long a conversion takes, stage by stage, against the machine's limits and against its peers.

    python bench/latency.py [MODEL.fsvc] [--seconds 0.5,1,2,5,10,30,60] [--steps 1,2,4] [--device auto|cpu|cuda]
        [--precision auto|fp32|fp16|bf16] [--json FILE] [--plot FILE.png] [--nvtx]
        [--peers eager32,eager16,graphs,compile] [--pdl]

Without MODEL a CoMoSVC of full size (512×20) with random weights is built first. Voices of RVC have stages of their
own: units, f0, retrieval, prior, flow, generator (bench/rvc_engine.py makes one). Medians after warming up; on a GPU by
its own events, its L2 cache overwritten between repetitions. The floor is the larger of operations at the measured
matrix-product rate and bytes at the measured copy rate. Cold start and throughput stand apart. --pdl also times the
denoiser with and without early starts of its kernels, at the peers' lengths.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import argparse
import tempfile
from pathlib import Path

from bench import program
from bench.peer_names import PEERS


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("model", nargs="?", type=program.existing, metavar="MODEL.fsvc")
    parser.add_argument("--seconds", type=program.listed(program.length), default=[0.5, 1, 2, 5, 10, 30, 60])
    parser.add_argument("--steps", type=program.listed(program.whole_number), default=[1, 2, 4])
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "fp32", "fp16", "bf16"), default="auto")
    parser.add_argument("--repeats", type=program.whole_number, default=50)
    parser.add_argument(
        "--budget", type=program.seconds, default=3.0, help="seconds for one figure, three repetitions at least"
    )
    parser.add_argument("--peers", type=program.listed(program.one_of(*PEERS)), default=list(PEERS), help="empty: none")
    parser.add_argument(
        "--peer-seconds", type=program.listed(program.length), help="lengths that peers run at; default: --seconds"
    )
    parser.add_argument("--pdl", action="store_true", help="the denoiser with programmatic dependent launch, too")
    parser.add_argument("--no-extras", action="store_true", help="leave out cold start and throughput")
    parser.add_argument(
        "--sizes",
        type=program.listed(program.whole_number, 3),
        default=[512, 20, 512],
        help="channels, layers, vocoder's channels",
    )
    parser.add_argument("--nvtx", action="store_true", help="mark the stages for Nsight Systems")
    parser.add_argument("--json", type=program.result, metavar="FILE")
    parser.add_argument("--plot", type=program.result, metavar="FILE.png")
    options = parser.parse_args(argv)
    if not options.seconds or not options.steps:
        parser.error("--seconds and --steps need one value at least")
    if options.peer_seconds is None:
        options.peer_seconds = options.seconds
    return options


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    from bench import circumstances, conversion, table  # seconds: not for --help, nor for what is wrong with options
    from fastsvc.engine import Engine, ranges

    ranges.enable(options.nvtx)
    with tempfile.TemporaryDirectory() as scratch:
        engine = Engine.open(options.model or build(options, Path(scratch)), options.device, options.precision)
        result = conversion.run(engine, options, lambda so_far: circumstances.keep(so_far, options.json))
    print(table.markdown(result))
    if options.plot:
        table.plot(result, options.plot)
    return 0


def build(options: argparse.Namespace, folder: Path) -> Path:
    """A random model of the options' sizes, built for the device."""
    import torch

    from bench import models
    from bench.conversion import say

    channels, layers, vocoder = options.sizes
    precision = "fp32" if options.device == "cpu" or not torch.cuda.is_available() else options.precision
    steps = tuple(sorted(set(options.steps)))
    target = "cpu" if options.device == "cpu" else "auto"
    return models.make(folder, channels, vocoder, say, layers, steps=steps, precision=precision, target=target)


if __name__ == "__main__":
    program.start(main)
