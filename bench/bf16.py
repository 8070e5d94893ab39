"""What bfloat16 gains on this processor: each part against float32 and plain PyTorch, in turns in one run.

    python -m bench.bf16 FOLDER --json bench/results/bf16.json --docs docs/performance.md

FOLDER has a full-size engine with its checkpoints (python -m bench.models FOLDER --steps 1 --target cpu). One thread
computes. Figures are the least of some rounds, of wall time and of the thread's processor time, which other work on the
machine disturbs less. The whole conversion has HuBERT-base with random weights as its content encoder. `--caps`
measures the same choice in processes to which oneDNN may not show all of the processor. The demo's conversions in both
precisions are compared by PESQ (needs the package pesq) and by their pitch. --docs writes the tables into a page,
between its marks, from the figures of --json alone where FOLDER is left out.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import argparse
import json

from bench import circumstances, program

CASES = ("denoiser", "forms", "vocoder", "content", "whole", "caps", "demo")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("folder", nargs="?", type=program.existing, metavar="FOLDER")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="cases to run")
    parser.add_argument("--rounds", type=program.whole_number, default=7)
    parser.add_argument("--seconds", type=program.length, default=10.0, help="of the whole conversion")
    parser.add_argument("--json", type=program.result, metavar="FILE", help="figures are merged into it by case")
    parser.add_argument("--docs", type=program.result, metavar="PAGE")
    options = parser.parse_args(argv)
    if options.folder is None and not (options.docs and options.json and options.json.is_file()):
        parser.error("FOLDER is needed, or --docs and the --json file of an earlier run")
    return options


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    from bench import bf16_table

    kept = json.loads(options.json.read_text(encoding="utf-8")) if options.json and options.json.is_file() else {}
    if options.folder is not None:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        import torch

        from bench import bf16_cases
        from fastsvc import machine

        torch.set_num_threads(1)
        for name in options.only:
            print(f"{name} …", file=sys.stderr, flush=True)
            about = circumstances.describe("python -m bench.bf16", torch.device("cpu"))
            about["machine"]["flags"] = machine.cpu_flags()
            about["command"] = (
                about["command"].replace(str(options.folder), "FOLDER").replace(str(options.json), "FILE")
            )
            figures = getattr(bf16_cases, name)(options)
            kept[name] = {"figures": figures, **about, **circumstances.load_after()}
            circumstances.keep(kept, options.json)
    text = bf16_table.tables(kept)
    print(text)
    if options.docs:
        bf16_table.write(options.docs, text)


if __name__ == "__main__":
    program.start(main)
