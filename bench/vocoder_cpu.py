"""Full-size vocoders on this CPU: the engine's against plain PyTorch and onnxruntime, in turns in one run.

    python -m bench.vocoder_cpu --seconds 10 --rounds 5 --threads 2 --json bench/results/vocoder_cpu.json

Weights are random, which changes no time. All compute source and audio from mel and f0: the plain model in one pass,
the engine in its blocks, with its own convolutions and with onnxruntime's. Figures are medians of wall time and of
processor time (all threads), which other programs on the machine disturb less, and the largest difference of a sample
from plain PyTorch's over the largest sample. On a busy machine set GOMP_SPINCOUNT=0: spinning threads use up the
measured time. Peaks are of the whole process so far, with the weights of all. Without the packages onnx and onnxruntime
the other two are compared.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from bench import circumstances, program
from fastsvc.config import AnyVocoderConfig, MelConfig, SourceFilterConfig, VocoderConfig, rvc_sizes

if TYPE_CHECKING:
    from fastsvc.engine.cpu.sampler import Synthesiser

OPENVPI = {
    "family": "openvpi",
    "mel": MelConfig(44100, 512, 2048, 2048, 128, 40.0, 16000.0, "e"),
    "upsample_rates": (8, 8, 2, 2, 2),
    "upsample_kernels": (16, 16, 4, 4, 4),
}
CASES = {
    "m4": VocoderConfig(),
    "openvpi": VocoderConfig(**OPENVPI),
    "pc-nsf": VocoderConfig(**OPENVPI, source="sine"),
    "demo": VocoderConfig(  # that of examples/voices/choir.fsvc
        family="openvpi",
        mel=SourceFilterConfig().mel,
        initial_channels=256,
        upsample_rates=(8, 8, 4),
        upsample_kernels=(16, 16, 8),
        resblock="2",
        resblock_kernels=(3, 5, 7),
        resblock_dilations=((1, 2), (2, 6), (3, 12)),
        source="pulse",
    ),
    "source-filter": SourceFilterConfig(),
    "rvc40k": rvc_sizes.generator("40k"),
    "rvc48k-v1": rvc_sizes.generator("v1 48k"),
}


def compare(config: AnyVocoderConfig, seconds: float, rounds: int) -> dict:
    import torch

    from fastsvc.engine.cpu.sampler import Synthesiser
    from fastsvc.model import vocoders
    from fastsvc.model.modules import module

    model = module("vocoder", config).eval()
    synthesiser = Synthesiser(model.state_dict(), config)
    frames = round(seconds * config.mel.frame_rate_hz)
    mel, f0_hz = torch.randn(frames, config.mel.bins) - 2, 100 + 200 * torch.rand(frames)
    speaker = synthesiser.speaker({0: 1.0})

    def plain():
        excitation = vocoders.seeded(f0_hz[None], config)
        mixed = excitation if isinstance(config, SourceFilterConfig) else model.source(excitation)
        extra = vocoders.seeded_extra(f0_hz[None], config, seed=0, speaker=speaker)
        return vocoders.specified(model, mel[None], mixed, extra)[0]

    import resource  # not on Windows

    runs = {"engine": lambda: synthesiser(mel, f0_hz, speaker=speaker), "plain": plain}
    if all(importlib.util.find_spec(package) for package in ("onnx", "onnxruntime")):
        other = through_onnxruntime(config, model.state_dict())
        runs["onnxruntime"] = lambda: other(mel, f0_hz, speaker=speaker)
    wall, cpu, peak, audio = defaultdict(list), defaultdict(list), {}, {}
    for turn in range(rounds + 1):
        for name, run in runs.items():  # the first turn warms up and measures the peaks, the lowest one first
            start, busy = time.perf_counter(), time.process_time()
            audio[name] = run()
            if turn == 0:
                peak[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
                continue
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - busy)
    figures = {f"{name}_s": round(statistics.median(times), 3) for name, times in wall.items()}
    figures |= {f"{name}_cpu_s": round(statistics.median(times), 3) for name, times in cpu.items()}
    peak_sample = audio["plain"].abs().max()
    others = [name for name in runs if name != "plain"]
    return figures | {
        "speedup": {name: round(figures["plain_s"] / figures[f"{name}_s"], 2) for name in others},
        "cpu_speedup": {name: round(figures["plain_cpu_s"] / figures[f"{name}_cpu_s"], 2) for name in others},
        "peak_mb": peak,
        "difference": {name: float((audio[name] - audio["plain"]).abs().max() / peak_sample) for name in others},
    }


def through_onnxruntime(config: AnyVocoderConfig, tensors: dict) -> Synthesiser:
    """The engine's synthesiser, but for what runs the generator."""
    from fastsvc.engine.cpu.sampler import Synthesiser
    from fastsvc.engine.cpu.vocoder_onnx import OnnxGenerator

    return Synthesiser(tensors, config, make=OnnxGenerator)


def main():
    parser = program.parser(__doc__)
    parser.add_argument("--case", choices=CASES, help="one of them; without: all, each in a process of its own")
    parser.add_argument("--seconds", type=program.length, default=10.0)
    parser.add_argument("--rounds", type=program.whole_number, default=5)
    parser.add_argument("--threads", type=program.whole_number, default=2)
    parser.add_argument(
        "--json", type=program.result, metavar="FILE", help="all cases, with machine, versions, command and date"
    )
    options = parser.parse_args()
    import torch

    from fastsvc import machine

    if options.case is None:
        cases = [in_process(name) for name in CASES]
        about = circumstances.describe("python -m bench.vocoder_cpu", torch.device("cpu"))
        circumstances.keep({"cases": cases, **about}, options.json)
        return
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    facts = {"vocoder": options.case, "audio_s": options.seconds, "rounds": options.rounds, **machine.describe()}
    with torch.inference_mode():
        figures = compare(CASES[options.case], options.seconds, options.rounds)
    print(json.dumps(facts | figures), flush=True)


def in_process(name: str) -> dict:
    """One case in a process of its own: peaks of memory are a process's."""
    command = [sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--case", name]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode:
        raise SystemExit(max(1, process.returncode))  # it has printed the reason
    print(process.stdout, end="", flush=True)
    return json.loads(process.stdout)


if __name__ == "__main__":
    program.start(main)
