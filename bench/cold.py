"""A process that opens an engine and synthesizes its first audio; prints a line of JSON.

`bench.latency` starts it and counts from before the start, so the interpreter's own start is included.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import json
import subprocess
import time

from bench import program

AUDIO_S = 1.0


def measure(engine, device: str, precision: str, seconds: float = AUDIO_S) -> dict:
    """Seconds from process start until everything is imported, the engine is open, the first audio is ready."""
    start = time.time()
    command = [sys.executable, os.path.abspath(__file__), str(engine), device, precision, str(seconds)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        return {"skipped": (process.stderr.strip().splitlines() or ["no message"])[-1]}
    times = json.loads(process.stdout.splitlines()[-1])
    return {"audio_s": seconds, **{name: round(time_s - start, 3) for name, time_s in times.items()}}


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("engine", type=program.existing, metavar="ENGINE")
    parser.add_argument("device", choices=("cpu", "cuda"))
    parser.add_argument("precision", choices=("auto", "fp32", "fp16", "bf16"))
    parser.add_argument("seconds", type=program.length, help="of audio")
    options = parser.parse_args()
    import torch

    from bench import rvc_stages
    from bench.stages import end_to_end, voice
    from fastsvc.config import RvcConfig
    from fastsvc.engine.engine import Engine

    times = {"imported_s": time.time()}
    engine = Engine.open(options.engine, options.device, options.precision)
    times["opened_s"] = time.time()
    mel, encoder = engine.config.mel, engine.encoder
    frames = max(1, round(options.seconds * mel.frame_rate_hz))
    samples = frames * mel.hop_samples
    if isinstance(engine.config, RvcConfig):
        run = rvc_stages.end_to_end(engine, frames)
    else:
        at_mel = voice(samples, mel.rate_hz)
        at_encoder = voice(round(samples * encoder.rate_hz / mel.rate_hz), encoder.rate_hz)
        run = end_to_end(engine, at_mel, at_encoder, frames, engine.default_steps)
    with torch.inference_mode():
        run()
    print(json.dumps({**times, "first_audio_s": time.time()}))


if __name__ == "__main__":
    program.start(main)
