"""The engine on this machine's CPU against plain PyTorch, at the full size of CoMoSVC and its vocoder.

    python -m bench.cpu --json bench/results/cpu.json
    python -m bench.cpu --only long --long 30
    python -m bench.cpu --only excerpt

Plain and compiled take turns in one process; every peak of memory is measured in a process of its own, with Python and
PyTorch included. Weights are random. Figures are merged into FILE by case, each with its command, machine and date.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import argparse
import datetime
import json
import platform
import subprocess
import tempfile
from pathlib import Path

from bench import program

CASES = ("denoiser", "vocoder", "memory", "excerpt", "long")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES[:3]), help="cases to run")
    parser.add_argument("--seconds", type=program.length, default=10.0, help="of audio, for times and their memory")
    parser.add_argument("--repeats", type=program.whole_number, default=9)
    parser.add_argument("--threads", type=program.whole_number, default=2)
    parser.add_argument("--wait", choices=("passive", "active"), default="passive", help="OMP_WAIT_POLICY, of both")
    parser.add_argument("--channels", type=program.whole_number, default=512, help="of the denoiser")
    parser.add_argument("--vocoder-channels", type=program.whole_number, default=512, help="at the vocoder's start")
    parser.add_argument("--long", type=program.length, default=30.0, metavar="MINUTES", help="of the long recording")
    parser.add_argument(
        "--excerpt", type=program.length, default=60.0, metavar="SECONDS", help="in one block and in many"
    )
    parser.add_argument("--json", type=program.result, metavar="FILE")
    parser.add_argument("--case", nargs="+", help=argparse.SUPPRESS)  # inside a process of its own
    parser.add_argument("--folder", type=program.folder, help="keep the models here, or take those that lie here")
    return parser.parse_args(argv)


def main() -> None:
    options = arguments()
    if options.case:
        print(json.dumps(run(options)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        options.folder = options.folder or Path(scratch)
        options.folder.mkdir(parents=True, exist_ok=True)
        if not (options.folder / "bench.fsvc").is_dir():
            in_process(options, ["make"])
        for case in options.only:
            if case == "memory":
                parts = [(part, which) for part in ("denoiser", "vocoder") for which in ("plain", "compiled")]
                figures = {f"{part} {which}": in_process(options, [case, part, which]) for part, which in parts}
            else:
                figures = in_process(options, [case])
            record = {**figures, "sizes": sizes(options), **circumstances(options)}
            print(case, json.dumps(record, indent=1), flush=True)
            if options.json:
                keep(options.json, case, record)


def run(options: argparse.Namespace) -> dict:
    """One case, in this process."""
    import torch

    from bench import cases, models

    torch.set_num_threads(options.threads)
    name, *case_arguments = options.case
    folder = options.folder
    if name == "make":
        say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
        models.make(folder, options.channels, options.vocoder_channels, say)
        return {}
    if name == "memory":
        return cases.memory(*case_arguments, folder, options.seconds)
    if name == "long":
        return cases.long(folder, options.long)
    if name == "excerpt":
        return cases.excerpt(folder, options.excerpt)
    return cases.timed(name, folder, options.seconds, options.repeats)


def in_process(options: argparse.Namespace, case: list[str]) -> dict:
    command = [sys.executable, os.path.abspath(__file__), "--case", *case]
    for name in ("folder", "seconds", "repeats", "threads", "wait", "channels", "vocoder_channels", "long", "excerpt"):
        command += ["--" + name.replace("_", "-"), str(getattr(options, name))]
    # Spinning threads would be timed, too, where other programs occupy a core.
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": options.wait}
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if process.returncode:
        raise SystemExit(max(1, process.returncode))  # it has printed the reason
    return json.loads(process.stdout.splitlines()[-1])


def sizes(options: argparse.Namespace) -> dict:
    return {"denoiser": f"{options.channels}×20", "vocoder": options.vocoder_channels, "threads": options.threads}


def circumstances(options: argparse.Namespace, name: str = "bench.cpu") -> dict:
    """The context of a figure: machine, versions, command, date, and the load by other programs."""
    from fastsvc import machine
    from fastsvc.version import VERSION

    return {
        "machine": {**machine.describe(), "threads": options.threads, "waiting": options.wait, "cores": os.cpu_count()},
        "load_1min": round(os.getloadavg()[0], 1),
        "versions": {"fastsvc": VERSION, "python": platform.python_version()},
        "command": " ".join([f"python -m {name}", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def keep(path: Path, case: str, record: dict) -> None:
    """Write one case into a file that may hold others."""
    from fastsvc import files

    records = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    files.write_json(path, {**records, case: record})


if __name__ == "__main__":
    program.start(main)
