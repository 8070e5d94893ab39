"""The cases of `bench.bf16`, a function each: options → figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bench import bf16_forms, cases
from bench.stages import voice
from fastsvc.artifact.engine_folder import WEIGHTS, Artifact
from fastsvc.config import HubertConfig
from fastsvc.engine import Engine
from fastsvc.engine.cpu import precision, trials
from fastsvc.engine.parts import Model
from fastsvc.features.hubert import HubertEncoder
from fastsvc.model.hubert import Hubert
from fastsvc.model.modules import module

DENOISER_S, VOCODER_S, CONTENT_S = 2.0, 1.0, 2.0
ROOT = Path(__file__).resolve().parent.parent
CAPS = {"AVX2": "AVX2", "AVX-512 without bf16": "AVX512_CORE", "all": None}


@torch.inference_mode()
def turns(runs: dict[str, Callable[[], torch.Tensor]], rounds: int) -> dict:
    """By name: least milliseconds of wall and of processor time in turns after one round, and the relative RMS
    difference from the first one's output."""
    wall, busy = ({name: [] for name in runs} for _ in range(2))
    first, differences = None, {}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            start, used = time.perf_counter(), time.thread_time()
            output = run()
            if round_:
                wall[name].append(1e3 * (time.perf_counter() - start))
                busy[name].append(1e3 * (time.thread_time() - used))
            elif first is None:
                first = output
            else:
                differences[name] = float(f"{float((output - first).norm() / first.norm()):.2g}")
    plain_ms, plain_cpu_ms = (min(times[next(iter(runs))]) for times in (wall, busy))
    return {
        name: {
            "wall_ms": round(min(wall[name]), 1),
            "cpu_ms": round(min(busy[name]), 1),
            "ratio": round(plain_ms / min(wall[name]), 2),
            "cpu_ratio": round(plain_cpu_ms / min(busy[name]), 2),
            "error": differences.get(name),
        }
        for name in runs
    }


def _denoisers(options, forms: dict) -> dict:
    folder = Artifact(options.folder / "bench.fsvc")
    config, levels, tensors = folder.manifest.acoustic, folder.manifest.sampling.levels, folder.tensors(WEIGHTS)
    frames, level = round(DENOISER_S * config.mel.frame_rate_hz), levels[0]
    generator = torch.Generator().manual_seed(0)
    x = level * torch.randn(frames, config.mel.bins, generator=generator)
    cond = torch.randn(frames, config.condition.channels, generator=generator)
    plain = cases._plain(options.folder / "student.pt")
    runs = {"plain PyTorch": lambda: plain.denoise(x[None], level, cond[None])[0]}
    for name, kind in forms.items():
        net = kind(tensors, config, levels)
        runs[name] = lambda net=net: net(x, level, net.prepare(cond))
    net = config.denoiser
    taps = (3 * net.channels + net.cond_channels) * 2 * net.channels + 2 * net.channels**2
    rows = turns(runs, options.rounds)
    return {"gflop": round(2e-9 * frames * net.layers * taps, 1), "seconds": DENOISER_S, "rows": rows}


def denoiser(options) -> dict:
    """One evaluation with the condition's projection, 512×20."""
    return _denoisers(options, {"float32": bf16_forms.CpuDenoiser, "bf16": bf16_forms.Bf16Denoiser})


def forms(options) -> dict:
    """The same in the forms that were tried for bfloat16."""
    return _denoisers(options, bf16_forms.FORMS)


def vocoder(options) -> dict:
    """The generator alone, m4 with 512 channels, from mel and excitation."""
    model = Model.of(Artifact(options.folder / "bench.fsvc"))
    plain, tensors, config = cases._plain(options.folder / "vocoder.pt"), model.generator(), model.vocoder
    assert config is not None
    frames, generator = round(VOCODER_S * config.mel.frame_rate_hz), torch.Generator().manual_seed(0)
    mel = torch.randn(1, frames, config.mel.bins, generator=generator) - 2
    source = 0.1 * torch.randn(1, frames * config.mel.hop_samples, generator=generator)
    exact = trials.generator_maker(model, "torch")(tensors, config)
    rounded = trials.rounded_generator(tensors, config)
    runs = {
        "plain PyTorch": lambda: plain(mel, source, None)[0],
        "float32": lambda: exact(mel, source)[0],
        "bf16": lambda: rounded(mel, source)[0],
    }
    return {"seconds": VOCODER_S, "rows": turns(runs, options.rounds)}


def _hubert() -> tuple[HubertConfig, Hubert]:
    torch.manual_seed(0)
    config = HubertConfig()
    return config, module("hubert", config).eval()


def content(options) -> dict:
    """HuBERT-base, random weights."""
    config, plain = _hubert()
    audio = 0.1 * torch.randn(round(CONTENT_S * config.rate_hz), generator=torch.Generator().manual_seed(0))
    exact, rounded = (
        HubertEncoder(config, plain.state_dict(), dtype=dtype) for dtype in (torch.float32, torch.bfloat16)
    )

    def autocast() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return plain(audio[None])[0].float()

    runs = {
        "plain PyTorch": lambda: plain(audio[None])[0],
        "plain PyTorch, autocast to bf16": autocast,
        "float32": lambda: exact.encode(audio),
        "bf16": lambda: rounded.encode(audio),
    }
    return {"seconds": CONTENT_S, "rows": turns(runs, options.rounds)}


def whole(options) -> dict:
    """Engine.convert with HuBERT-base, one step: samples in, samples out, f0 and resampling included."""
    config, plain = _hubert()
    runs, rounds = {}, max(2, options.rounds // 2)
    for word, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        engine = Engine.open(options.folder / "bench.fsvc", "cpu", word, "torch")
        engine.encoder = HubertEncoder(config, plain.state_dict(), dtype=dtype)
        audio = voice(round(options.seconds * engine.rate_hz), engine.rate_hz).numpy()
        runs["float32" if word == "fp32" else word] = lambda engine=engine, audio=audio: torch.from_numpy(
            engine.convert(audio, engine.rate_hz, engine.table.base)[0]
        )
    rows = turns(runs, rounds)
    for row in rows.values():
        row["real_time_factor"] = round(row["wall_ms"] / 1e3 / options.seconds, 3)
        row["cpu_real_time_factor"] = round(row["cpu_ms"] / 1e3 / options.seconds, 3)
    return {"seconds": options.seconds, "rows": rows}


def caps(options) -> dict:
    """What `auto` chooses in a process of its own for each cap, and whether its bits are those of float32."""
    code = "import sys; from bench.bf16_cap import main; main(sys.argv[1])"
    command = [sys.executable, "-c", code, str(options.folder.resolve() / "bench.fsvc")]
    rows = {}
    for name, isa in CAPS.items():
        environment = {**os.environ, **({} if isa is None else {"ONEDNN_MAX_CPU_ISA": isa})}
        environment.pop(precision.VARIABLE, None)
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
        if process.returncode:
            raise SystemExit(process.stderr)
        rows[name] = json.loads(process.stdout.splitlines()[-1])
    return {"rows": rows}


def demo(options) -> dict:
    """Conversions of the example recordings by the bundled voices: bf16 against float32."""
    from bench import bf16_demo

    return {"rows": bf16_demo.compared(ROOT)}
