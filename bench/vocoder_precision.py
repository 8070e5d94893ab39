"""The vocoder's loss in float16: PESQ, largest and RMS difference against float32, on mels of real recordings.

    python -m bench.vocoder_precision --json bench/results/vocoder_precision.json

Needs the packages onnx, onnxruntime and pesq: pip install "fastsvc[onnx,bench]". Two ways to compute in float16 without
a GPU are compared with the plain model in float32, all from the same mel and excitation:

- torch: engine/cpu/vocoder.py in float16, as a GPU runs it: every layer's result is rounded, sums are in float32;
- onnxruntime: the graph vocoder_fp16.onnx. A processor has no float16 kernels in onnxruntime: it computes in float32,
  and drops the roundings between layers that it put in itself. What is left is weights, inputs and the source branch.

PESQ is the wide-band score (ITU-T P.862.2, up to 4.64) at 16 kHz, of the float16 audio against the float32 audio.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import tempfile
from pathlib import Path

from bench import circumstances, program

ROOT = Path(__file__).resolve().parent.parent
BAR = 4.3


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("engine", type=program.existing, nargs="?", default=ROOT / "examples/voices/choir.fsvc")
    parser.add_argument("--recordings", type=program.existing, default=ROOT / "examples/recordings")
    parser.add_argument("--json", type=program.result, metavar="FILE")
    options = parser.parse_args()
    recordings = sorted(p for p in options.recordings.rglob("*") if p.suffix in (".wav", ".flac", ".ogg"))
    if not recordings:
        parser.error(f"{options.recordings}: no recordings (.wav, .flac, .ogg) in it")
    import torch

    from bench.vocoder_rounding import measure

    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(options.engine, recordings, Path(scratch) / "vocoder.fsvc")
    least = {way: min(row[way]["pesq"] for row in rows) for way in ("torch", "onnxruntime")}
    print(f"least PESQ {least}, the bar is {BAR}")
    about = circumstances.describe("python -m bench.vocoder_precision", torch.device("cpu"))
    record = {"engine": options.engine.name, "least_pesq": least, "bar": BAR, "recordings": rows, **about}
    circumstances.keep(record, options.json)


if __name__ == "__main__":
    program.start(main)
