"""The measurements of `bench.vocoder_precision`: the vocoder in float16, in two ways, against plain float32."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from bench import vocoder_folder
from fastsvc.artifact import engine_folder
from fastsvc.audio import io, resample
from fastsvc.audio.mel import log_mel
from fastsvc.config import VocoderConfig
from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.engine.cpu.vocoder_onnx import require
from fastsvc.features import f0
from fastsvc.model import source
from fastsvc.model.vocoder import Generator

PESQ_HZ = 16000


def inputs(file: Path, config: VocoderConfig, vocoder: Vocoder) -> tuple[Tensor, Tensor]:
    """Mel [1, T, M] and excitation of a recording."""
    audio, rate_hz = io.read(file, mono=True)
    wave = torch.from_numpy(resample.resample(audio[0], rate_hz, config.mel.rate_hz)).float()
    mel = log_mel(wave[None], config.mel)
    f0_hz, voiced = f0.extract(wave, config.mel.rate_hz, config.mel.hop_samples, mel.shape[1])
    voiced_f0_hz = torch.as_tensor(f0_hz).float() * torch.as_tensor(voiced)
    return mel, vocoder.source(source.seeded(voiced_f0_hz[None], config))


def score(expected: Tensor, output: Tensor, rate_hz: int) -> dict:
    from pesq import pesq

    pair = [resample.resample(wave.numpy(), rate_hz, PESQ_HZ) for wave in (expected, output)]
    difference = output - expected
    return {
        "pesq": round(float(pesq(PESQ_HZ, *pair, "wb")), 3),
        "largest_difference": round(float(difference.abs().max()), 6),
        "relative_rms": round(float(difference.norm() / expected.norm()), 6),
        "peak": round(float(expected.abs().max()), 3),
    }


def graph(config: VocoderConfig, tensors: dict[str, Tensor], path: Path):
    """The float16 graph as a call."""
    file = vocoder_folder.write(path, config, tensors).verify(engine_folder.GRAPHS[True])
    runtime = require()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(mel: Tensor, excitation: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"mel": mel.numpy(), "source": excitation.numpy()})[0])

    return run


@torch.inference_mode()
def measure(engine: Path, recordings: list[Path], path: Path) -> list[dict]:
    opened = engine_folder.Artifact(engine)
    config = opened.manifest.vocoder.config
    tensors = opened.tensors(engine_folder.VOCODER)
    plain = Generator(config).eval()
    plain.load_state_dict(tensors)
    half = Vocoder(tensors, config, torch.float16)
    ways = {"torch": half, "onnxruntime": graph(config, tensors, path)}
    rows = []
    for file in recordings:
        mel, excitation = inputs(file, config, half)
        expected = plain(mel, excitation)[0]
        scores = {name: score(expected, way(mel, excitation)[0], config.mel.rate_hz) for name, way in ways.items()}
        rows.append({"recording": file.name, "seconds": round(len(expected) / config.mel.rate_hz, 1), **scores})
        print(json.dumps(rows[-1]), flush=True)
    return rows
