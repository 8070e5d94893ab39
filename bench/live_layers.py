"""What a stream gains by computing only needed rows and keeping final ones, stage by stage and in all.

python -m bench.live_layers [MODEL.fsvc] [--json bench/results/live_layers.json] [--voice slt] [--blocks 10,20,40,80]
    [--steps 1,2,4] [--lookahead 160] [--seconds 1.5] [--full]

Three streams take the same 10 ms in turns: "rewindowed" computes each window whole, "trimmed" only the rows that the
block depends on, "kept" of these only the ones that were not final before. Times are the processor's, in one thread.
--full: a CoMoSVC of full size with random weights (bench/models.py) instead, whose small recogniser stands for the
content encoder.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import tempfile
import time
from pathlib import Path

from bench import circumstances, live, program

ROOT = Path(__file__).resolve().parent.parent
FULL_BLOCKS, FULL_SECONDS = (40.0, 80.0), 0.9
WARM = 5  # blocks at first that are not counted


def timed(stream) -> dict[str, list[float]]:
    """Lists that fill with the processor's milliseconds of each block, by stage."""
    spent: dict[str, list[float]] = {}

    def wrap(name: str, owner, method: str) -> None:
        inner, times = getattr(owner, method), spent.setdefault(name, [])

        def outer(*arguments, **options):
            before = time.thread_time()
            result = inner(*arguments, **options)
            times.append(1000 * (time.thread_time() - before))
            return result

        setattr(owner, method, outer)

    wrap("pitch", stream.front.pitch, "find")
    wrap("content", stream.front.units, "find")
    wrap("denoiser", stream.maker.acoustic.maker, "make")
    wrap("vocoder", stream.maker.sound, "make")
    wrap("block", stream, "_advance")
    return spent


def measured(engines, voice, audio, rate_hz: int, block_ms: float, lookahead_ms: float, steps: int) -> dict:
    """``engines``: one for each way."""
    import numpy as np

    from bench import rewindowed

    streams, spent, outputs = {}, {}, {way: [] for way in rewindowed.WAYS}
    for way, engine in engines.items():
        options = {"block_ms": block_ms, "lookahead_ms": lookahead_ms, "steps": steps}
        streams[way] = rewindowed.prepare(engine.stream(voice, rate_hz, **options), way)
        spent[way] = timed(streams[way])
    size = round(0.01 * rate_hz)
    for start in range(0, len(audio), size):
        for way, stream in streams.items():
            outputs[way].append(stream.push(audio[start : start + size]))
    joined = {way: np.concatenate(pieces) for way, pieces in outputs.items()}
    latency = streams["kept"].latency
    middle = {stage: {way: float(np.median(spent[way][stage][WARM:])) for way in spent} for stage in spent["kept"]}
    late = np.percentile(spent["kept"]["block"][WARM:], 95)
    off = max(float(np.abs(joined[way] - joined["rewindowed"]).max()) for way in spent)
    return {
        "block_ms": round(latency.block_ms, 1),
        "lookahead_ms": round(latency.lookahead_ms, 1),
        "steps": steps,
        "blocks": len(spent["kept"]["block"]),
        "processor_ms": {stage: {way: round(ms, 2) for way, ms in row.items()} for stage, row in middle.items()},
        "gain": {stage: round(row["rewindowed"] / row["kept"], 2) for stage, row in middle.items()},
        "gain_of_keeping": {stage: round(row["trimmed"] / row["kept"], 2) for stage, row in middle.items()},
        "rtf": {way: round(ms / latency.block_ms, 3) for way, ms in middle["block"].items()},
        "rtf_p95": round(float(late / latency.block_ms), 3),
        "difference_to_rewindowed": float(f"{off / np.abs(joined['rewindowed']).max():.2g}"),
    }


def table(results: list[dict]) -> str:
    """The rows as docs/live.md shows them: milliseconds by windows, needed rows, kept rows."""
    head = (
        "| engine | block, ms | steps | pitch | content | denoiser | vocoder | whole block | real-time factor, 95 % |"
    )
    lines = [head, "|" + "---|" * 9]
    for one in (row for result in results for row in result["rows"]):
        spent = (" / ".join(f"{ms:.3g}" for ms in row.values()) for row in one["processor_ms"].values())
        sizes = f"{one['engine']} | {one['block_ms']:g} | {one['steps']}"
        lines.append(f"| {sizes} | {' | '.join(spent)} | {one['rtf']['kept']:.2f}, {one['rtf_p95']:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = live.streaming_parser(__doc__)
    parser.add_argument("--recording", type=program.existing, default=ROOT / "examples/recordings/singing/uma.flac")
    parser.add_argument("--blocks", type=program.listed(program.length), default=[10.0, 20.0, 40.0, 80.0])
    parser.add_argument("--steps", type=program.listed(program.whole_number), default=[1, 2, 4])
    parser.add_argument("--lookahead", type=program.seconds, default=160.0)
    parser.add_argument("--seconds", type=program.length, default=1.5, help="of the recording")
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()

    import torch

    from bench import models, rewindowed
    from fastsvc.audio import io
    from fastsvc.engine import Engine

    torch.set_num_threads(1)
    audio, rate_hz = io.read(options.recording, mono=True)
    audio = audio[0][: round(options.seconds * rate_hz)]
    result: dict = {"threads": 1, "rows": []}
    result |= circumstances.describe("python -m bench.live_layers", torch.device("cpu"))

    def run(name: str, path: Path, voice, blocks, steps, seconds: float) -> None:
        engines = {
            way: Engine.open(path, device="cpu", precision="built", vocoder_backend="torch") for way in rewindowed.WAYS
        }
        for count in steps:
            for block_ms in blocks if count == 1 else blocks[-2:]:
                part = audio[: round(seconds * rate_hz)]
                row = measured(engines, voice, part, rate_hz, block_ms, options.lookahead, count)
                result["rows"].append({"engine": name, **row})
                print(result["rows"][-1], flush=True)
                circumstances.keep(result, options.json)

    if not options.full:
        run(options.model.name, options.model, options.voice, options.blocks, options.steps, options.seconds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = models.make(Path(folder), 512, 512, say=None)
            run("full-size CoMoSVC", path, models.SPEAKERS[0], FULL_BLOCKS, [1], FULL_SECONDS)


if __name__ == "__main__":
    program.start(main)
