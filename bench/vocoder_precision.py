"""What float16 costs the vocoder: PESQ, largest and RMS difference against float32, on the mels of real recordings.

    python -m bench.vocoder_precision --json bench/results/vocoder_precision.json

Needs the packages onnx, onnxruntime and pesq: pip install "fastsvc[onnx,bench]". Two ways to compute in float16 without
a GPU are compared with the plain model in float32, all from the same mel and excitation:

- torch: engine/cpu_vocoder.py in float16, as a GPU runs it: every layer's result is rounded, sums are in float32;
- onnxruntime: the graph vocoder_fp16.onnx. A processor has no float16 kernels in onnxruntime: it computes in float32,
  and drops the roundings between layers that it put in itself. What is left is weights, inputs and the source branch.

PESQ is the wide-band score (ITU-T P.862.2, up to 4.64) at 16 kHz, of the float16 audio against the float32 audio.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from bench import circumstances, vocoder_folder
from fastsvc.audio import io, resample
from fastsvc.audio.mel import log_mel
from fastsvc.config import VocoderConfig, from_dict
from fastsvc.engine import artifact
from fastsvc.engine.cpu_vocoder import Vocoder
from fastsvc.engine.vocoder_onnx import require
from fastsvc.features import f0
from fastsvc.model import source
from fastsvc.model.vocoder import Generator

ROOT = Path(__file__).parent.parent
PESQ_HZ = 16000
BAR = 4.3


def inputs(file: Path, config: VocoderConfig, vocoder: Vocoder) -> tuple[Tensor, Tensor]:
    """Mel [1, T, M] and excitation of a recording."""
    audio, rate_hz = io.read(file, mono=True)
    wave = torch.from_numpy(resample.resample(audio[0], rate_hz, config.mel.rate_hz)).float()
    mel = log_mel(wave[None], config.mel)
    f0_hz, voiced = f0.extract(wave, config.mel.rate_hz, config.mel.hop_samples, mel.shape[1])
    heard = torch.as_tensor(f0_hz).float() * torch.as_tensor(voiced)
    return mel, vocoder.source(source.seeded(heard[None], config))


def score(want: Tensor, got: Tensor, rate_hz: int) -> dict:
    from pesq import pesq

    pair = [resample.resample(wave.numpy(), rate_hz, PESQ_HZ) for wave in (want, got)]
    difference = got - want
    return {
        "pesq": round(float(pesq(PESQ_HZ, *pair, "wb")), 3),
        "largest_difference": round(float(difference.abs().max()), 6),
        "relative_rms": round(float(difference.norm() / want.norm()), 6),
        "peak": round(float(want.abs().max()), 3),
    }


def graph(config: VocoderConfig, tensors: dict[str, Tensor], path: Path):
    """The float16 graph as a call."""
    file = vocoder_folder.write(path, config, tensors).verify(artifact.GRAPHS[True, False])
    runtime = require()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda mel, given: torch.from_numpy(session.run(None, {"mel": mel.numpy(), "source": given.numpy()})[0])


@torch.inference_mode()
def measure(engine: Path, recordings: list[Path], path: Path) -> list[dict]:
    opened = artifact.Artifact(engine)
    config = from_dict(VocoderConfig, opened.manifest["vocoder"]["config"])
    tensors = opened.tensors(artifact.VOCODER)
    plain = Generator(config).eval()
    plain.load_state_dict(tensors)
    half = Vocoder(tensors, config, torch.float16)
    ways = {"torch": half, "onnxruntime": graph(config, tensors, path)}
    rows = []
    for file in recordings:
        mel, excitation = inputs(file, config, half)
        want = plain(mel, excitation)[0]
        found = {name: score(want, way(mel, excitation)[0], config.mel.rate_hz) for name, way in ways.items()}
        rows.append({"recording": file.name, "seconds": round(len(want) / config.mel.rate_hz, 1), **found})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", type=Path, nargs="?", default=ROOT / "fastsvc/demo/choir.fsvc")
    parser.add_argument("--recordings", type=Path, default=ROOT / "examples/recordings")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    recordings = sorted(p for p in options.recordings.rglob("*") if p.suffix in (".wav", ".flac", ".ogg"))
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(options.engine, recordings, Path(scratch) / "vocoder.fsvc")
    least = {way: min(row[way]["pesq"] for row in rows) for way in ("torch", "onnxruntime")}
    print(f"least PESQ {least}, the bar is {BAR}")
    about = circumstances.describe("python -m bench.vocoder_precision", torch.device("cpu"))
    record = {"engine": options.engine.name, "least_pesq": least, "bar": BAR, "recordings": rows, **about}
    circumstances.keep(record, options.json)


if __name__ == "__main__":
    main()
