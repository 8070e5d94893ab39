"""Voices of RVC on this machine's CPU against plain PyTorch, at full size: times, memory, and what cutting changes.

    python -m bench.rvc --json bench/results/rvc.json
    python -m bench.rvc --only long --voices "v2 40k"

Plain and compiled take turns in one process; every peak of memory is measured in a process of its own, with Python and
PyTorch included. Weights are random. Figures are merged into FILE by case and voice, each with its command, machine
and date.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from bench import cpu, program
from bench.rvc_voices import SIZES

TIMED = ("latent", "generator", "whole")
CASES = (*TIMED, "excerpt", "stretches", "long")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="cases to run")
    parser.add_argument("--voices", nargs="+", choices=SIZES, default=list(SIZES), help="sizes of voices")
    parser.add_argument("--seconds", type=program.length, default=10.0, help="of audio, for times")
    parser.add_argument("--repeats", type=program.whole_number, default=5)
    parser.add_argument("--threads", type=program.whole_number, default=2)
    parser.add_argument("--wait", choices=("passive", "active"), default="passive", help="OMP_WAIT_POLICY, of both")
    parser.add_argument("--long", type=program.length, default=30.0, metavar="MINUTES", help="of the long recording")
    parser.add_argument("--excerpt", type=program.length, default=60.0, metavar="SECONDS", help="in one block")
    parser.add_argument("--stretches", type=program.length, default=120.0, metavar="SECONDS", help="in one stretch")
    parser.add_argument("--channels", type=program.whole_number, default=512, help="of the generator, at its start")
    parser.add_argument("--json", type=program.result, metavar="FILE")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)  # inside a process of its own
    parser.add_argument("--folder", type=program.folder, help="keep the voices here, or take those that lie here")
    return parser.parse_args(argv)


def main() -> None:
    options = arguments()
    if options.case:
        print(json.dumps(run(options, *options.case)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        options.folder = options.folder or Path(scratch)
        for voice in options.voices:
            if not (place(options, voice) / "rvc.fsvc").is_dir():
                in_process(options, "make", voice)
            for case in options.only:
                figures = in_process(options, case, voice)
                record = {
                    **figures,
                    "channels": options.channels,
                    "threads": options.threads,
                    **cpu.circumstances(options, "bench.rvc"),
                }
                print(case, voice, json.dumps(record, indent=1), flush=True)
                if options.json:
                    name = f"{case}, {voice}" + f", {options.channels} channels" * (options.channels != 512)
                    cpu.keep(options.json, name, record)


def place(options: argparse.Namespace, voice: str) -> Path:
    channels = "" if options.channels == 512 else f"_{options.channels}"
    return options.folder / f"{voice.replace(' ', '_')}{channels}"


def run(options: argparse.Namespace, case: str, voice: str) -> dict:
    """One case, in this process."""
    import torch

    from bench import rvc_cases, rvc_voices

    torch.set_num_threads(options.threads)
    folder = place(options, voice)
    if case == "make":
        folder.mkdir(parents=True, exist_ok=True)
        say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
        rvc_voices.make(folder, voice, say, channels=options.channels)
        return {}
    if case in TIMED:
        return rvc_cases.timed(case, folder, options.seconds, options.repeats)
    return getattr(rvc_cases, case)(folder, getattr(options, case))


def in_process(options: argparse.Namespace, case: str, voice: str) -> dict:
    command = [sys.executable, os.path.abspath(__file__), "--case", case, voice]
    for name in ("folder", "seconds", "repeats", "threads", "wait", "long", "excerpt", "stretches", "channels"):
        command += [f"--{name}", str(getattr(options, name))]
    # Spinning threads would be timed, too, where other programs occupy a core.
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": options.wait}
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if process.returncode:
        raise SystemExit(max(1, process.returncode))  # it has printed the reason
    return json.loads(process.stdout.splitlines()[-1])


if __name__ == "__main__":
    program.start(main)
