"""Why a stream differs from one pass: what is left where one part gets what one pass has.

python -m bench.live_parts [MODEL.fsvc] [--json bench/results/live_parts.json] [--voice slt] [--block 42.7]
    [--lookahead 160] [--seconds 1.5]

Ways: as streams are; zeros after the end of the audio in place of a steady spectrum; then parts of one pass, each
alone: pitch, the units of the block, those of the look-ahead, both, the features after the look-ahead, the mel after
the block, and all. Each recording is taken from its beginning and, if it is long enough, from its middle. PESQ needs
the extra bench.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import circumstances, live, program

ROOT = Path(__file__).resolve().parent.parent
FUTURE = 100  # frames, more than any part reads


@dataclass(frozen=True)
class Way:
    """What is taken from one pass. ``units``: of block and look-ahead; ``future``: features after the look-ahead."""

    pitch: bool = False
    units: tuple[bool, bool] = (False, False)
    future: bool = False
    mel: bool = False
    steady: bool = True  # a steady spectrum goes on


WAYS = {
    "as streams are": Way(),
    "zeros after the end of the audio": Way(steady=False),
    "pitch of one pass": Way(pitch=True),
    "units of one pass, in the block": Way(units=(True, False)),
    "units of one pass, in the look-ahead": Way(units=(False, True)),
    "units of one pass, in both": Way(units=(True, True)),
    "features of one pass after the look-ahead": Way(future=True),
    "mel of one pass after the block": Way(mel=True),
    "all features of one pass": Way(True, (True, True), True),
}


@dataclass(frozen=True)
class OnePass:
    """A recording's features, mel and output in one pass."""

    found: Any
    mel: Any
    audio: Any


def one_pass(engine, voice, audio, rate_hz: int) -> OnePass:
    import torch

    from fastsvc.engine.stream.intake import Intake
    from fastsvc.engine.stream.settled import Span

    stream = engine.stream(voice, rate_hz)
    intake = Intake(rate_hz, stream.front.rates)
    intake.pushed.append(torch.from_numpy(audio))
    intake.total = len(audio)
    frames = math.ceil(math.ceil(len(audio) * stream.grid.rate_hz / rate_hz) / stream.grid.hop)
    with torch.inference_mode():
        found = stream.front.find(intake, 0, frames, 1.0)
        mel = stream.maker.make(found, Span(0, frames, frames, frames), stream.voice).rows["mel"].clone()
    return OnePass(found, mel, engine.convert(audio, rate_hz, voice, **live.AS_STREAMS)[0])


def prepare(stream, whole: OnePass, way: Way):
    """The stream, made to take what ``way`` says from one pass."""
    import torch

    maker, frames = stream.maker, len(whole.mel)

    def block(span, voice):
        found = stream.front.find(stream.intake, span.first, span.end, voice.gain)
        true = {name: getattr(whole.found, name) for name in ("units", "f0_hz", "voiced", "volume")}
        own = {name: rows[span.first : span.end] for name, rows in true.items()}
        size, (in_block, ahead) = span.last - span.first, way.units
        parts = (own if in_block else vars(found))["units"][:size], (own if ahead else vars(found))["units"][size:]
        changes = {"units": torch.cat(parts)}
        if way.pitch:
            changes |= {"f0_hz": own["f0_hz"], "voiced": own["voiced"]}
        if way.future:
            end = min(span.end + FUTURE, frames)
            now = {**vars(found), **changes}
            changes = {name: torch.cat((now[name], rows[span.end : end])) for name, rows in true.items()}
            span = replace(span, end=end, total=frames if end == frames else span.total)
        return maker.make(replace(found, **changes), span, voice)

    def mel(features, settled, span, last, voice, made=maker.acoustic.mel):
        rows, kept = made(features, settled, span, last, voice)
        return torch.cat((rows[: span.last - span.first], whole.mel[span.last : span.first + len(rows)])), kept

    stream._block = block
    if way.mel:
        maker.acoustic.mel = mel
    return stream


def table(result: dict) -> str:
    """A row for each way."""
    lines = ["| a stream with | mel, dB | SNR, dB | PESQ |", "|---|---|---|---|"]
    for row in result["rows"]:
        pesq = f"{row['pesq']:.2f}" if "pesq" in row else ""
        lines.append(f"| {row['way']} | {row['mel_db']:.2g} | {row['snr_db']:.0f} | {pesq} |")
    return "\n".join(lines) + "\n"


def excerpts(path: Path, seconds: float) -> list:
    from fastsvc.audio import io

    audio, rate_hz = io.read(path, mono=True)
    size, middle = round(seconds * rate_hz), audio.shape[1] // 2
    starts = (0, middle) if len(audio[0]) - middle > size else (0,)
    return [(audio[0][start : start + size].copy(), rate_hz) for start in starts]


def main() -> None:
    parser = live.streaming_parser(__doc__)
    parser.add_argument("--recordings", type=program.existing, default=ROOT / "examples" / "recordings")
    parser.add_argument("--block", type=program.length, default=42.7)
    parser.add_argument("--lookahead", type=program.seconds, default=160.0)
    parser.add_argument("--seconds", type=program.length, default=1.5, help="of each excerpt")
    options = parser.parse_args()

    import numpy as np
    import torch

    import fastsvc
    from fastsvc.engine.stream import units
    from fastsvc.files.tree import files_below

    torch.set_num_threads(1)
    engine = fastsvc.load(options.model, device="cpu", precision="built")
    live.by_hops(engine)
    paths = [path for path in files_below(options.recordings) if path.suffix in (".wav", ".flac", ".ogg")]
    recordings = [one for path in paths for one in excerpts(path, options.seconds)]
    wholes = [one_pass(engine, options.voice, *one) for one in recordings]
    result: dict = {"engine": options.model.name, "voice": options.voice, "excerpts": len(recordings)}
    result |= {"block_ms": options.block, "lookahead_ms": options.lookahead, "rows": []}
    result |= circumstances.describe("python -m bench.live_parts", engine.device)
    held = units.held
    for name, way in WAYS.items():
        units.held = held if way.steady else lambda *arguments: None
        rows = []
        for (audio, rate_hz), whole in zip(recordings, wholes):
            stream = engine.stream(options.voice, rate_hz, block_ms=options.block, lookahead_ms=options.lookahead)
            got, _ = live.streamed(prepare(stream, whole, way), audio, rate_hz)
            rows.append(live.closeness(got, whole.audio, rate_hz, engine.config.mel, stream.grid.block))
        names = [key for key in ("mel_db", "snr_db", "pesq") if key in rows[0]]
        figures = {key: float(f"{np.mean([row[key] for row in rows]):.3g}") for key in names}
        result["rows"].append({"way": name, **figures})
        print(result["rows"][-1], flush=True)
        circumstances.keep(result, options.json)
    print(table(result))


if __name__ == "__main__":
    program.start(main)
