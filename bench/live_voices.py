"""Phones that voices for live conversion lose in a stream, beside voices that see the whole recording.

python -m bench.live_voices LIVE.fsvc WHOLE.fsvc --recogniser HELD_OUT.pt [--json bench/results/live_voices.json]
    [--clips 24] [--seconds 4] [--block 21.3] [--lookahead 53.3] [--dry]

Clips, truth and phone errors are those of `fastsvc evaluate`: unseen singers of the choir sing unseen songs. Ways: the
true target, WHOLE in one pass and streamed with the same block and look-ahead, LIVE in one pass and streamed. Streams
get the input at the level to which one pass brings it. Intervals are of 2000 bootstrap draws over clips.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

from pathlib import Path

from bench import circumstances, live, program

ROOT = Path(__file__).resolve().parent.parent
DRAWS, WARM = 2000, 5


def ways(engines: dict, block_ms: float, lookahead_ms: float) -> dict:
    """Name → (clip, seed) → (audio, seconds of each block, or None)."""
    import numpy as np

    found = {"true target": lambda clip, seed: (clip.truth, None)}

    def one_pass(engine):
        def run(clip, seed):
            options = {"transpose": clip.semitones, "seed": seed}
            return engine.convert(clip.audio, clip.rate_hz, clip.target, **options)[0], None

        return run

    def streamed(engine):
        def run(clip, seed):
            gain = float((engine.manifest.input_peak or 1.0) / np.abs(clip.audio).max())
            sizes = {"block_ms": block_ms, "lookahead_ms": lookahead_ms, "gain": gain, "transpose": clip.semitones}
            stream = engine.stream(clip.target, clip.rate_hz, seed=seed, **sizes)
            audio, spent = live.streamed(stream, clip.audio, clip.rate_hz)
            return audio, (spent[WARM:], stream.latency)

        return run

    for name, engine in engines.items():
        found |= {f"{name}, one pass": one_pass(engine), f"{name}, streamed": streamed(engine)}
    return found


def interval(values) -> tuple[float, float]:
    """The 95 % interval of the mean."""
    import numpy as np

    values = np.asarray(values)
    means = values[np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return round(float(low), 4), round(float(high), 4)


def summary(errors: dict[str, list[float]], times: dict[str, list], whole: str) -> list[dict]:
    import numpy as np

    rows = []
    for name, rates in errors.items():
        row: dict = {"way": name, "phone_error_rate": round(float(np.mean(rates)), 4), "interval": interval(rates)}
        differences = np.subtract(rates, errors[whole])
        row |= {"more": round(float(differences.mean()), 4), "more_interval": interval(differences)}
        if times.get(name):
            latency = times[name][-1][1]
            wall, processor = 1000 * np.array([one for spent, _ in times[name] for one in spent]).T
            row |= {
                "block_ms": round(latency.block_ms, 1),
                "lookahead_ms": round(latency.lookahead_ms, 1),
                "delay_ms": round(latency.stream_ms, 1),
                "processor_ms": live.percentiles(processor),
                "compute_ms": live.percentiles(wall),
                "rtf_p95": round(float(np.percentile(processor, 95) / latency.block_ms), 3),
                "total_ms": round(float(latency.stream_ms + np.percentile(processor, 95)), 1),
            }
        rows.append(row)
    return rows


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("model", type=program.existing)
    parser.add_argument("whole", type=program.existing)
    parser.add_argument("--recogniser", type=program.existing, required=True)
    parser.add_argument("--json", type=program.result)
    parser.add_argument("--clips", type=program.whole_number, default=24)
    parser.add_argument("--seconds", type=program.length, default=4.0, help="of each clip")
    parser.add_argument("--block", type=program.length, default=21.3)
    parser.add_argument("--lookahead", type=program.seconds, default=53.3)
    parser.add_argument("--dry", action="store_true", help="the voices were recorded without rooms")
    options = parser.parse_args()

    import torch

    from fastsvc.engine import Engine
    from fastsvc.evaluation import clips, judges, phones

    torch.set_num_threads(1)
    engines = {path.stem: Engine.open(path, device="cpu") for path in (options.whole, options.model)}
    whole = engines[options.whole.stem]
    recogniser = judges.recogniser(options.recogniser, whole)
    singing, _ = clips.targets(whole.speakers, whole.manifest.speaker_f0_hz, 0, options.dry)
    result: dict = {"seconds": options.seconds, "threads": 1}
    result |= circumstances.describe("python -m bench.live_voices", torch.device("cpu"))
    errors, times = {}, {}
    for index, clip in enumerate(clips.draw(singing, options.clips, options.seconds, 0, 0, whole.rate_hz)):
        truth = phones.reference_phones(clip.phones)
        for name, run in ways(engines, options.block, options.lookahead).items():
            audio, spent = run(clip, index)
            heard = phones.recognise(recogniser, audio, clip.rate_hz)
            errors.setdefault(name, []).append(phones.error_rate(heard, truth))
            if spent:
                times.setdefault(name, []).append(spent)
        result |= {"clips": index + 1, "rows": summary(errors, times, f"{options.whole.stem}, one pass")}
        print(index, {name: round(rates[-1], 3) for name, rates in errors.items()}, flush=True)
        circumstances.keep(result, options.json)
    for row in result["rows"]:
        print(row)


if __name__ == "__main__":
    program.start(main)
