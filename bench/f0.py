"""Pitch trackers: accuracy on signals of known pitch, and speed.

python -m bench.f0 [--json bench/results/f0.json] [--seconds 4] [--methods yin,dio] [--device cpu]
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import time

from bench import program
from fastsvc import files
from fastsvc.config import F0_METHODS
from fastsvc.errors import FastsvcError

COLUMNS = (
    ("sweep", "accuracy"),
    ("sweep", "octave"),
    ("vibrato", "accuracy"),
    ("vibrato", "octave"),
    ("rests", "voicing"),
    ("noise", "voicing"),
)


def measure(method: str, seconds: float, device: str) -> dict:
    """{signal: scores, "rtf", "cpu"}: seconds of the clock, and of all processors, per second of audio.

    The first call, which loads the model, is not timed; of up to three others the fastest counts.
    """

    import torch

    from fastsvc.evaluation import machine, trackers
    from fastsvc.features import f0

    def track(audio, rate_hz, hop, frames):
        tracked = f0.extract(torch.from_numpy(audio).to(device), rate_hz, hop, frames, method=method)
        return tuple(part.cpu().numpy() for part in tracked)

    audio = trackers.signals(seconds)["vibrato"][0]
    frames = len(audio) // trackers.HOP
    track(audio[: len(audio) // 4], trackers.RATE_HZ, trackers.HOP, frames // 4)
    rtf, cpu = [], []
    while len(rtf) < 3 and sum(rtf) < 5:
        start = time.process_time()
        rtf.append(machine.timed(lambda: track(audio, trackers.RATE_HZ, trackers.HOP, frames), device)[1] / seconds)
        cpu.append((time.process_time() - start) / seconds)
    return trackers.measure(track, seconds) | {"rtf": min(rtf), "cpu": min(cpu)}


def table(results: dict) -> str:
    """Markdown, in percent."""
    names = " | ".join(f"{signal}: {metric}" for signal, metric in COLUMNS)
    lines = [f"| method | {names} | real-time factor | processor time |"]
    lines.append("|---" * (len(COLUMNS) + 3) + "|")
    for method, scores in results.items():
        if "skipped" in scores:
            lines.append(f"| {method} | not measured: {scores['skipped']} |" + " |" * (len(COLUMNS) + 1))
            continue
        cells = [f"{100 * scores[signal][metric]:.1f}" for signal, metric in COLUMNS]
        lines.append(f"| {method} | " + " | ".join(cells) + f" | {scores['rtf']:.3f} | {scores['cpu']:.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--json", type=program.result, metavar="FILE")
    parser.add_argument("--seconds", type=program.length, default=4.0, help="length of each signal")
    parser.add_argument("--methods", type=program.listed(program.one_of(*F0_METHODS)), default=list(F0_METHODS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    from fastsvc.evaluation import machine

    results = {}
    for method in options.methods:
        try:
            results[method] = measure(method, options.seconds, options.device)
        except FastsvcError as error:
            results[method] = {"skipped": error.message}
        print(table({method: results[method]}).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(results))
    if options.json:
        head = machine.describe(options.device) | {"command": "python -m bench.f0 " + " ".join(sys.argv[1:])}
        files.write_json(options.json, head | {"seconds": options.seconds, "methods": plain(results)})


def plain(value):
    """NaN, which JSON does not have, as null: noise has no pitch to be accurate about."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and value != value else value


if __name__ == "__main__":
    program.start(main)
