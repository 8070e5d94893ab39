"""An hour of live conversion: memory, time of blocks, and the phase of the source against one pass over all pitches.

python -m bench.live_hour [MODEL.fsvc] [--json bench/results/live_hour.json] [--voice slt] [--minutes 60]
    [--block 80] [--lookahead 160]

The recordings of examples/, one after another again and again, come as a sound card would bring them, 10 ms at a time,
but as fast as they are computed. One thread computes. A block is late where it took longer than it lasts, by the clock;
the real-time factor is of the processor's time, so that other work beside it does not count.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import time
from pathlib import Path

from bench import circumstances, live, program

ROOT = Path(__file__).resolve().parent.parent
RATE_HZ = 48000


class Phases:
    """Pitch and phase of every settled frame of a stream; the arrays are as large from the start as they get."""

    def __init__(self, stream, minutes: float):
        import numpy as np

        frames = int(minutes * 60_000 / stream.grid.frame_ms) + stream.grid.block
        self.hz, self.phase, self.count = np.ones(frames, np.float32), np.ones(frames), 0
        self.settle, stream.maker.settled.settle = stream.maker.settled.settle, self.keep

    def keep(self, block) -> None:
        last = self.count + block.span.last - block.span.first
        for kept, name in ((self.hz, "sung_hz"), (self.phase, "phase")):
            kept[self.count : last] = block.rows[name][: last - self.count].numpy()
        self.count = last
        self.settle(block)

    def against_one_pass(self, config) -> dict:
        """``off``: the largest difference, in turns, to the phase that all pitches at once give."""
        import torch

        from fastsvc.model import vocoders

        want = vocoders.frame_phase(torch.from_numpy(self.hz[: self.count])[None], config)[0].numpy()
        off = abs(want - self.phase[: self.count])
        return {"frames": self.count, "off": float(abs(off - off.round()).max())}


def resident_mb() -> float | None:
    """Memory of this process; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def load() -> float | None:
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def measured(engine, stream, audio, minutes: float, say) -> dict:
    """Stream ``minutes`` of ``audio`` [samples], which repeats; ``say`` gets the figures so far after each minute."""
    import numpy as np

    size, pushed, rows, phases = round(live.DEVICE_S * RATE_HZ), 0, [], Phases(stream, minutes)
    spent, blocks = np.ones((int(minutes * 60_000 / stream.grid.block_ms) + 1, 2)), 0  # seconds: wall, processor
    started, figures = time.perf_counter(), {}
    while pushed < minutes * 60 * RATE_HZ:
        place, before = pushed % (len(audio) - size), stream.frame
        wall, processor = time.perf_counter(), time.process_time()
        output = stream.push(audio[place : place + size])
        if stream.frame > before:
            spent[blocks] = time.perf_counter() - wall, time.process_time() - processor
            blocks += 1
        pushed += size
        if len(output) and not figures:
            figures["first_output_s"] = round(pushed / RATE_HZ + float(spent[0, 0]), 3)
        if pushed % (60 * RATE_HZ) < size:
            rows.append({"resident_mb": resident_mb(), "load_1min": load()})
            figures |= times(spent[:blocks] * 1000, stream.grid.block_ms)
            figures |= {"minutes": len(rows), "took_minutes": round((time.perf_counter() - started) / 60, 1)}
            say(figures | {"each_minute": rows})
    # Only now: over all pitches it takes memory that grows with them, and that would be taken for the stream's.
    return figures | {"each_minute": rows, "phase": phases.against_one_pass(engine.synthesiser.config)}


def times(spent_ms, block_ms: float) -> dict:
    """Of [blocks, 2]: by the clock, and by the processor's time."""
    import numpy as np

    figures: dict = {"blocks": len(spent_ms), "late_blocks": int((spent_ms[:, 0] > block_ms).sum())}
    for name, column in (("wall_ms", 0), ("processor_ms", 1)):
        figures[name] = live.percentiles(spent_ms[:, column])
    return figures | {"rtf_p95": round(float(np.percentile(spent_ms[:, 1], 95)) / block_ms, 3)}


def main() -> None:
    parser = live.streaming_parser(__doc__)
    parser.add_argument("--recordings", type=program.existing, default=ROOT / "examples" / "recordings")
    parser.add_argument("--minutes", type=program.length, default=60.0)
    parser.add_argument("--block", type=program.length, default=80.0, help="in ms")
    parser.add_argument("--lookahead", type=program.seconds, default=160.0, help="in ms")
    options = parser.parse_args()

    import numpy as np
    import torch

    import fastsvc
    from fastsvc.audio import io
    from fastsvc.audio.resample import resample
    from fastsvc.files.tree import files_below

    torch.set_num_threads(1)
    engine = fastsvc.load(options.model, device="cpu", precision="built")
    songs = [io.read(path, mono=True) for path in files_below(options.recordings) if path.suffix != ".md"]
    audio = np.concatenate([resample(song[0], rate_hz, RATE_HZ) for song, rate_hz in songs])
    stream = engine.stream(options.voice, RATE_HZ, block_ms=options.block, lookahead_ms=options.lookahead)
    result = {"engine": options.model.name, "voice": options.voice, "threads": 1}
    result |= {"block_ms": round(stream.grid.block_ms, 1), "lookahead_ms": round(stream.grid.lookahead_ms, 1)}
    result |= circumstances.describe("python -m bench.live_hour", engine.device)

    def say(figures: dict) -> None:
        latest = figures["each_minute"][-1]
        print({name: value for name, value in figures.items() if name != "each_minute"}, latest, flush=True)
        circumstances.keep(result | figures, options.json)

    say(measured(engine, stream, audio, options.minutes, say))


if __name__ == "__main__":
    program.start(main)
