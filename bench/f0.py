"""Pitch trackers: accuracy on signals of known pitch, and speed.

python -m bench.f0 [--json bench/results/f0.json] [--seconds 4] [--methods yin,dio] [--device cpu]

--songs: a folder that `fastsvc choir` has made, whose songs have exact f0; they are tracked instead of the signals.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import json
import time
from collections.abc import Callable
from pathlib import Path

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


SONG_COLUMNS = (("songs", "accuracy"), ("songs", "octave"), ("songs", "voicing"), ("softer", "voicing"))
SOFTER_DB = -20.0


def tracker(method: str, device: str) -> Callable:
    """A Tracker of fastsvc.evaluation.trackers."""
    import torch

    from fastsvc.features import f0

    def track(audio, rate_hz, hop, frames):
        tracked = f0.extract(torch.from_numpy(audio).to(device), rate_hz, hop, frames, method=method)
        return tuple(part.cpu().numpy() for part in tracked)

    return track


def on_songs(track: Callable, folder: Path) -> dict:
    """{"songs", "softer"}: scores over all frames of the folder's songs, and of the same SOFTER_DB."""
    import numpy as np

    from fastsvc.audio import io, resample
    from fastsvc.evaluation import trackers

    truths, tracks = [], {"songs": [], "softer": []}
    for path in sorted(folder.rglob("*.wav")):
        truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        audio, rate_hz = io.read(path, mono=True)
        audio = resample.resample(audio[0], rate_hz, trackers.RATE_HZ)
        frames = len(audio) // trackers.HOP
        places = np.rint(np.arange(frames * trackers.HOP) / (trackers.RATE_HZ * truth["f0_hop_s"])).astype(int)
        truths.append(np.asarray(truth["f0_hz"])[np.minimum(places, len(truth["f0_hz"]) - 1)])
        for name, gain in (("songs", 1.0), ("softer", 10 ** (SOFTER_DB / 20))):
            tracks[name].append(track(audio * np.float32(gain), trackers.RATE_HZ, trackers.HOP, frames))
    true_hz = np.concatenate(truths)
    whole = {name: tuple(map(np.concatenate, zip(*found))) for name, found in tracks.items()}
    return {name: trackers.score(found, true_hz) for name, found in whole.items()} | {
        "recordings": len(truths),
        "seconds": round(len(true_hz) / trackers.RATE_HZ),
    }


def measure(method: str, seconds: float, device: str) -> dict:
    """{signal: scores, "rtf", "cpu"}: seconds of the clock, and of all processors, per second of audio.

    The first call, which loads the model, is not timed; of up to three others the fastest counts.
    """
    from fastsvc.evaluation import machine, trackers

    track = tracker(method, device)
    audio = trackers.signals(seconds)["vibrato"][0]
    frames = len(audio) // trackers.HOP
    track(audio[: len(audio) // 4], trackers.RATE_HZ, trackers.HOP, frames // 4)
    rtf, cpu = [], []
    while len(rtf) < 3 and sum(rtf) < 5:
        start = time.process_time()
        rtf.append(machine.timed(lambda: track(audio, trackers.RATE_HZ, trackers.HOP, frames), device)[1] / seconds)
        cpu.append((time.process_time() - start) / seconds)
    return trackers.measure(track, seconds) | {"rtf": min(rtf), "cpu": min(cpu)}


def table(results: dict, songs: bool = False) -> str:
    """Markdown, in percent."""
    columns, times = (SONG_COLUMNS, ()) if songs else (COLUMNS, ("rtf", "cpu"))
    names = [f"{signal}: {metric}" for signal, metric in columns]
    names += [] if songs else ["real-time factor", "processor time"]
    lines = [f"| method | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for method, scores in results.items():
        if "skipped" in scores:
            lines.append(f"| {method} | not measured: {scores['skipped']} |" + " |" * (len(names) - 1))
            continue
        cells = [f"{100 * scores[signal][metric]:.1f}" for signal, metric in columns]
        cells += [f"{scores[name]:.3f}" for name in times]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--json", type=program.result, metavar="FILE")
    parser.add_argument("--seconds", type=program.length, default=4.0, help="length of each signal")
    parser.add_argument("--methods", type=program.listed(program.one_of(*F0_METHODS)), default=list(F0_METHODS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--songs", type=program.existing, metavar="FOLDER", help="made by fastsvc choir")
    options = parser.parse_args()
    from fastsvc.evaluation import machine

    results = {}
    for method in options.methods:
        try:
            if options.songs:
                results[method] = on_songs(tracker(method, options.device), options.songs)
            else:
                results[method] = measure(method, options.seconds, options.device)
        except FastsvcError as error:
            results[method] = {"skipped": error.message}
        print(table({method: results[method]}, bool(options.songs)).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(results, bool(options.songs)))
    if options.json:
        head = machine.describe(options.device) | {"command": "python -m bench.f0 " + " ".join(sys.argv[1:])}
        if not options.songs:
            head["seconds"] = options.seconds
        files.write_json(options.json, head | {"methods": plain(results)})


def plain(value):
    """NaN, which JSON does not have, as null: noise has no pitch to be accurate about."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and value != value else value


if __name__ == "__main__":
    program.start(main)
