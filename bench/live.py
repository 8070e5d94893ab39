"""What live conversion costs: latency, compute and closeness to one pass, for sizes of blocks and look-aheads.

python -m bench.live [MODEL.fsvc] [--json bench/results/live.json] [--voice slt] [--blocks 10,20,40,80,160]
    [--lookaheads 0,40,80,160,320] [--seconds 5]

Each recording is streamed, 10 ms at a time, and compared with one pass over it that has the same filling of f0, places
of units and resampler. Then a click goes through `fastsvc live` between two sound cards that files play
(bench/fake_cards.py), and its delay is measured. PESQ needs the extra bench. python -m bench.live_table shows the
result, python -m bench.live_hour measures a long stream.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import argparse
import time
from pathlib import Path

from bench import circumstances, program
from fastsvc.artifact import bundled

ROOT = Path(__file__).resolve().parent.parent
DEVICE_S = 0.01  # of audio that the device brings at a time
CLICK_HZ = 48000
AS_STREAMS = {"normalise": False, "high_pass": False, "rms_mix_rate": 1, "f0_fill": "hold", "resampler": "short"}
ACTIVE_DB = 40  # of frames, below the loudest


def by_hops(engine) -> None:
    """Offline conversion places units as streams do, also where the engine's checkpoint says otherwise."""
    from dataclasses import replace

    engine.config = replace(engine.config, features=replace(engine.config.features, unit_align="hops"))


def streamed(stream, audio, rate_hz: int) -> tuple:
    """(output, seconds and processor seconds of each push that computed a block, None for the others)."""
    import numpy as np

    size, pieces, spent = round(DEVICE_S * rate_hz), [], []
    for start in range(0, len(audio), size):
        before, wall, processor = stream.frame, time.perf_counter(), time.process_time()
        pieces.append(stream.push(audio[start : start + size]))
        if stream.frame > before:
            spent.append((time.perf_counter() - wall, time.process_time() - processor))
    return np.concatenate([*pieces, stream.flush()]), spent


def closeness(got, want, rate_hz: int, mel, block: int) -> dict:
    """An output against the offline one, both [samples]; mel distances in dB over active frames. edge_ratio: the
    distance in the first and the last frame of each block of ``block`` frames, against that of the others."""
    import numpy as np
    import torch

    from fastsvc.audio.mel import log_mel
    from fastsvc.audio.resample import resample

    both = [torch.from_numpy(resample(x, rate_hz, mel.rate_hz))[None] for x in (got, want)]
    got_db, want_db = (20 * log_mel(x, mel)[0] * (1 if mel.log_base == "10" else 0.4342945) for x in both)
    loud = want_db.logsumexp(1)
    frames = (got_db - want_db).abs().mean(1)
    active = loud > loud.max() - ACTIVE_DB
    figures = {"mel_db": float(frames[active].mean())}
    place = torch.arange(len(frames)) % block
    edge = active & ((place == 0) | (place == block - 1))
    if (active & ~edge).any():
        figures["edge_ratio"] = float(frames[edge].mean() / frames[active & ~edge].mean())
    noise = float(np.square(got - want).sum())
    figures["snr_db"] = float(10 * np.log10(np.square(want).sum() / max(noise, 1e-20)))
    figures["off_peak"] = float(np.abs(got - want).max() / np.abs(want).max())
    figures["f0_rms_cents"] = melody(*both, mel)
    try:
        from pesq import pesq
    except ImportError:
        return figures
    pair = [resample(x, rate_hz, 16000) for x in (want, got)]
    return figures | {"pesq": float(pesq(16000, *pair, "wb"))}


def melody(got, want, mel) -> float:
    """RMS of the cents between both outputs' pitch, where both are voiced."""
    import numpy as np

    from fastsvc.features import f0

    frames = got.shape[1] // mel.hop_samples
    (a, a_voiced), (b, b_voiced) = (f0.extract(x[0].numpy(), mel.rate_hz, mel.hop_samples, frames) for x in (got, want))
    both = a_voiced & b_voiced
    return float(np.sqrt(np.mean(np.square(1200 * np.log2(a[both] / b[both]))))) if both.any() else 0.0


def row(engine, voice, recordings, wants, block_ms: float, lookahead_ms: float) -> dict:
    """Means over recordings, and the times of all their blocks."""
    import numpy as np

    rows, spent, stream = [], [], None
    for (audio, rate_hz), want in zip(recordings, wants):
        stream = engine.stream(voice, rate_hz, block_ms=block_ms, lookahead_ms=lookahead_ms)
        got, times = streamed(stream, audio, rate_hz)
        rows.append(closeness(got, want, rate_hz, engine.config.mel, stream.grid.block))
        spent += times
    latency, (wall, processor) = stream.latency, np.array(spent).T * 1000
    names = dict.fromkeys(name for one in rows for name in one)
    means = {name: float((np.max if name == "off_peak" else np.mean)([one[name] for one in rows])) for name in names}
    return {
        "block_ms": round(latency.block_ms, 1),
        "lookahead_ms": round(latency.lookahead_ms, 1),
        "delay_ms": round(latency.stream_ms, 1),
        **click(engine, voice, block_ms, lookahead_ms),
        "compute_ms": percentiles(wall),
        "processor_ms": percentiles(processor),
        "rtf_p95": round(float(np.percentile(processor, 95) / latency.block_ms), 3),
        "late_blocks": int((wall > latency.block_ms).sum()),
        "late_by_processor": int((processor > latency.block_ms).sum()),
        "blocks": len(wall),
        **{name: float(f"{value:.4g}") for name, value in means.items()},
    }


def click(engine, voice, block_ms: float, lookahead_ms: float) -> dict:
    """What a stream says of its delay, and how late a click comes out of `fastsvc live`, cards that call each ms.

    click_ms: against the stream's own output; centre_ms: of the output's power around it, against the click itself.
    """
    import numpy as np

    from bench.fake_cards import Clock, played
    from fastsvc.convert.live import Live
    from fastsvc.convert.live_chain import Chain

    audio = 1e-5 * np.random.default_rng(1).standard_normal(2 * CLICK_HZ).astype(np.float32)
    audio[CLICK_HZ // 2] = 0.9
    stream = engine.stream(voice, CLICK_HZ, block_ms=block_ms, lookahead_ms=lookahead_ms)
    want = np.concatenate((stream.push(audio), stream.flush()))  # its sample n belongs to sample n of the input
    latency, clock = stream.latency, Clock()
    rates, compute_s = (CLICK_HZ, CLICK_HZ), latency.compute_ms[1] / 1000
    live = Live(Chain(stream, CLICK_HZ), rates, latency.stream_ms / 1000, compute_s, clock=clock)
    got = played(live, clock, audio, in_s=0.001, out_s=0.001, spent=lambda: 0.0)
    spectrum = np.fft.rfft(got, 4 * CLICK_HZ) * np.fft.rfft(want, 4 * CLICK_HZ).conj()
    delay = int(np.fft.irfft(spectrum)[: 2 * CLICK_HZ].argmax())
    begin, size = CLICK_HZ // 2 + delay - CLICK_HZ // 20, CLICK_HZ // 10
    power = np.square(got[begin : begin + size], dtype=np.float64)
    centre = begin - CLICK_HZ // 2 + float(np.arange(size) @ power / power.sum())
    figures = {"said_ms": latency.total_ms, "click_ms": 1000 * delay / CLICK_HZ, "centre_ms": 1000 * centre / CLICK_HZ}
    return {name: round(value, 1) for name, value in figures.items()}


def streaming_parser(doc: str) -> argparse.ArgumentParser:
    """A parser with what the programs about live conversion share: engine, result and voice."""
    parser = program.parser(doc)
    parser.add_argument("model", nargs="?", type=program.existing, default=bundled.VOICES)
    parser.add_argument("--json", type=program.result)
    parser.add_argument("--voice", default="slt")
    return parser


def percentiles(milliseconds) -> dict[str, float]:
    """Of what blocks took."""
    import numpy as np

    return {f"p{q}": round(float(np.percentile(milliseconds, q)), 1) for q in (50, 95, 99)}


def main() -> None:
    parser = streaming_parser(__doc__)
    parser.add_argument("--recordings", type=program.existing, default=ROOT / "examples" / "recordings")
    parser.add_argument("--blocks", type=program.listed(program.length), default=[10.0, 20.0, 40.0, 80.0, 160.0])
    parser.add_argument("--lookaheads", type=program.listed(program.seconds), default=[0.0, 40.0, 80.0, 160.0, 320.0])
    parser.add_argument("--seconds", type=program.length, default=5.0, help="of each recording")
    options = parser.parse_args()

    import torch

    import fastsvc
    from fastsvc.audio import io
    from fastsvc.files.tree import files_below

    torch.set_num_threads(1)
    engine = fastsvc.load(options.model, device="cpu", precision="built")
    by_hops(engine)
    recordings = []
    for path in files_below(options.recordings):
        if path.suffix in (".wav", ".flac", ".ogg"):
            audio, rate_hz = io.read(path, mono=True)
            recordings.append((audio[0][: round(options.seconds * rate_hz)], rate_hz))
    wants = [engine.convert(audio, rate_hz, options.voice, **AS_STREAMS)[0] for audio, rate_hz in recordings]
    result = {"engine": options.model.name, "voice": options.voice, "threads": 1, "rows": []}
    result |= circumstances.describe("python -m bench.live", engine.device)
    exact_ms = engine.exact_lookahead_ms()
    sizes = [(block, ahead) for block in options.blocks for ahead in options.lookaheads]
    for block_ms, lookahead_ms in [*([(160.0, exact_ms)] if exact_ms else []), *sizes]:
        result["rows"].append(row(engine, options.voice, recordings, wants, block_ms, lookahead_ms))
        print(result["rows"][-1], flush=True)
        circumstances.keep(result, options.json)


if __name__ == "__main__":
    program.start(main)
