"""Plans of full-size vocoders, built by TensorRT for RTX without a GPU: seconds and megabytes for each target.

    python -m bench.trt_plans --json bench/results/trt_plans.json

Weights are random, which changes neither. Kernels are compiled on the user's GPU when a plan is loaded there: that
time, and the speed, are not seen here.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import json
import tempfile
from pathlib import Path

from bench import circumstances, program, vocoder_folder
from bench.vocoder_cpu import CASES
from fastsvc.artifact import engine_folder
from fastsvc.config import VocoderConfig

VOCODERS = ("m4", "openvpi")
ARCHS = (80, 86, 89, 120)
GRAPH = engine_folder.GRAPHS[True]


def folder(path: Path, name: str) -> Path:
    """Of an engine with this vocoder."""
    from fastsvc.model.vocoder import Generator

    tensors = {key: value.detach().contiguous() for key, value in Generator(CASES[name]).state_dict().items()}
    return vocoder_folder.write(path / "vocoder.fsvc", CASES[name], tensors).path


def build(path: Path, config: VocoderConfig, arch: int) -> dict:
    from fastsvc.engine.tensorrt import plan_files, trt_packages

    module = trt_packages.load(trt_packages.RTX)
    origin = plan_files.origin(module, arch, "0" * 64)
    plan, _ = plan_files.build(module, path / GRAPH, config, origin, ahead=arch)
    return {"version": module.__version__, "seconds": round(plan.seconds, 1), "mb": round(len(plan.code) / 1e6, 1)}


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--json", type=program.result, metavar="FILE")
    options = parser.parse_args()
    import torch

    rows = []
    for name in VOCODERS:
        with tempfile.TemporaryDirectory() as scratch:
            vocoder_path = folder(Path(scratch), name)
            for arch in ARCHS:
                rows.append({"vocoder": name, "target": f"sm_{arch}", **build(vocoder_path, CASES[name], arch)})
                print(json.dumps(rows[-1]), flush=True)
    record = {"graph": GRAPH, "plans": rows, **circumstances.describe("python -m bench.trt_plans", torch.device("cpu"))}
    circumstances.keep(record, options.json)


if __name__ == "__main__":
    program.start(main)
