"""From the first sample in to the last sample out on a GPU, estimated: soxr and filters on the host, or on the device.

    python bench/samples.py --seconds 10 --rates 24000,44100

The host's steps are measured on this machine (processor time, one thread). The device's are counted: PyTorch's
operations on the device "meta", each with a launch, its bytes and its operations. Denoiser and vocoder, whose kernels
are fastsvc's own, are figures that bench/roofline.py is the source of. No GPU is used.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import importlib
import math
import time
from collections.abc import Callable

from bench import program

CALL_US = 6.0  # of one call of PyTorch outside a graph, on the host
LINK_BYTES_S, LINK_US = 50e9, 10.0  # of a copy between pinned memory and the device


def device_parts(seconds: float, rate_hz: int) -> dict[str, dict]:
    """The device's work for a recording, by part. Denoiser and vocoder are not among them."""
    import torch

    from bench import models
    from bench.on_meta import counted
    from fastsvc.audio import loudness, polyphase
    from fastsvc.config import HubertConfig
    from fastsvc.engine.cuda import front_program, joining, pitch
    from fastsvc.engine.cuda.filters import Blocks
    from fastsvc.engine.cuda.hubert import HubertProgram, HubertWeights
    from fastsvc.engine.cuda.programs import prepared_length
    from fastsvc.model.hubert import Hubert

    candidates = importlib.import_module("fastsvc.features.f0.candidates")
    candidates.BLOCK_FRAMES = candidates.DEVICE_BLOCK_FRAMES  # "meta" would be taken for a processor
    meta, config = torch.device("meta"), models.acoustic()
    mel, hubert = config.mel, HubertConfig()
    frames = math.ceil(seconds * mel.frame_rate_hz)
    with torch.no_grad():  # in inference mode composed operations would be seen whole
        shape = front_program.FrontShape(rate_hz, frames, high_pass=True)
        front = front_program.FrontProgram(mel, hubert, shape, meta)
        yin = pitch.YinProgram(config, frames, meta)
        with meta:
            weights = HubertWeights(hubert, dict(Hubert(hubert).state_dict()), torch.float16, meta)
        content = HubertProgram(weights, prepared_length(round(seconds * 50)), True)
        made = torch.zeros(frames * mel.hop_samples, device=meta)
        length = round(seconds * rate_hz)
        blocks = Blocks(rate_hz, length, meta)
        count, nodes = (
            blocks.edges.new_full((), length),
            torch.zeros(blocks.count + 1, dtype=torch.float64, device=meta),
        )
        out = torch.zeros(length, device=meta)
        return {
            "front": counted(front.run),
            "f0": counted(lambda: (yin.run(), loudness.frame_rms(front.at_mel[None], mel.hop_samples))),
            "content": counted(content.run),
            "output, before its level": counted(
                lambda: (
                    polyphase.resampled(made, mel.rate_hz, rate_hz) * 0.9,
                    blocks.powers(out, count),
                    blocks.peaks(out),
                )
            ),
            "output, its level": counted(
                lambda: (out * joining._curve(nodes, blocks, rate_hz, length)).abs().amax(),
            ),
        }


def host_parts(seconds: float, rate_hz: int, repeats: int) -> dict[str, float]:
    """Milliseconds of the host's steps, the least processor time of ``repeats``."""
    import numpy as np
    import torch

    from bench import models
    from bench.stages import voice
    from fastsvc.audio import envelope, highpass
    from fastsvc.audio.resample import resample
    from fastsvc.engine import checks, extraction
    from fastsvc.engine.level import LoudnessProfile
    from fastsvc.features import hum

    mel = models.acoustic().mel
    found, audio = {}, voice(round(seconds * rate_hz), rate_hz).numpy()

    def measure(name: str, run: Callable):
        spent, result = math.inf, None
        for _ in range(repeats):
            start = time.process_time()
            result = run()
            spent = min(spent, time.process_time() - start)
        found[name] = round(1e3 * spent, 3)
        return result

    def resampled(name: str, one, from_hz: int, to_hz: int):
        return measure(name, lambda: one) if from_hz == to_hz else measure(name, lambda: resample(one, from_hz, to_hz))

    measure("checks of the samples", lambda: extraction.mono(audio, rate_hz))
    measure("a copy of the samples", lambda: torch.from_numpy(audio).clone())
    clean = measure("high-pass", lambda: highpass.high_passed(audio, rate_hz))
    profile = measure("loudness of the recording", lambda: LoudnessProfile.of(clean, rate_hz, 0.0))
    level, _ = measure("level", lambda: extraction.levelled(clean, 0.95, rate_hz))
    at_mel = resampled("soxr, mel", level, rate_hz, mel.rate_hz)
    resampled("soxr, encoder", level, rate_hz, 16000)
    frames = math.ceil(seconds * mel.frame_rate_hz)
    measure("low band", lambda: hum.low_band(at_mel, mel.rate_hz, mel.hop_samples, frames))
    made = voice(frames * mel.hop_samples, mel.rate_hz).numpy() * np.float32(0.5)
    out = resampled("soxr, output", made, mel.rate_hz, rate_hz)
    measure("checks of the output", lambda: checks.finite(out))
    measure("loudness of the output", lambda: profile.follow(out.copy(), rate_hz))
    powers = envelope.powers(out, rate_hz)
    measure("gains", lambda: profile.gains(powers))  # the recording's part is kept
    return found


def sums(host: dict, device: dict, seconds: float, rate_hz: int, denoiser_ms: float, vocoder_ms: float) -> dict:
    """Milliseconds from samples to samples. Before: what stands on the processor is waited for, but for what it does
    while the GPU tracks the pitch. Now: YIN runs beside the encoder, which is taken to gain nothing from that."""
    link_ms = 1e-3 * LINK_US + 4e3 * seconds * rate_hz / LINK_BYTES_S
    networks = device["content"]["ms"] + denoiser_ms + vocoder_ms
    first = ("checks of the samples", "high-pass", "loudness of the recording", "level", "soxr, mel")
    last = ("soxr, output", "checks of the output", "loudness of the output")
    beside = max(device["f0"]["ms"], host["low band"] + host["soxr, encoder"])
    before = sum(host[name] for name in first) + beside + networks + sum(host[name] for name in last) + 2 * link_ms
    calls_ms = 1e-3 * CALL_US * device["output, its level"]["launches"]
    moved = host["checks of the samples"] + 2 * host["a copy of the samples"] + 2 * link_ms + 3e-3 * LINK_US
    level = max(calls_ms, device["output, its level"]["ms"]) + host["gains"]
    beside = max(0.0, device["f0"]["ms"] - device["content"]["ms"])
    now = moved + device["front"]["ms"] + beside + networks + device["output, before its level"]["ms"] + level
    return {"before": round(before, 2), "now": round(now, 2), "networks": round(networks, 2)}


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--seconds", type=program.length, default=10.0, help="of the recording (default: 10)")
    parser.add_argument(
        "--rates", type=program.listed(program.whole_number), default=[24000, 44100], help="in Hz (24000,44100)"
    )
    low_high = program.listed(program.length, 2)
    parser.add_argument("--denoiser", type=low_high, default=[0.50, 0.60], help="ms, least and most (0.50,0.60)")
    parser.add_argument("--vocoder", type=low_high, default=[2.5, 3.8], help="ms, least and most (2.5,3.8)")
    parser.add_argument("--repeats", type=program.whole_number, default=15, help="of the host's steps (default: 15)")
    parser.add_argument("--json", type=program.result, metavar="FILE")
    options = parser.parse_args()
    import torch

    from bench import circumstances

    torch.set_num_threads(1)
    result = circumstances.describe("python -m bench.samples", torch.device("cpu")) | {"rates": {}}
    for rate_hz in options.rates:
        host = host_parts(options.seconds, rate_hz, options.repeats)
        device = device_parts(options.seconds, rate_hz)
        pairs = zip(options.denoiser, options.vocoder)
        total = [sums(host, device, options.seconds, rate_hz, *pair) for pair in pairs]
        result["rates"][str(rate_hz)] = {"host_ms": host, "device": device, "ms": total}
        print(f"\n{options.seconds:g} s at {rate_hz} Hz. The host, in ms of processor time:")
        print("\n".join(f"  {name}: {ms:.2f}" for name, ms in host.items()))
        print("The device, estimated:")
        for name, part in device.items():
            print(
                f"  {name}: {part['ms']:.2f} ms ({part['launches']} launches, {part['MB']} MB, {part['GFLOP']} GFLOP)"
            )
        for name in ("before", "now"):
            print(f"Samples to samples, {name}: {total[0][name]:.1f} to {total[1][name]:.1f} ms")
    result |= circumstances.load_after()
    print(f"\n{circumstances.load_line(result)}")
    circumstances.keep(result, options.json)


if __name__ == "__main__":
    program.start(main)
