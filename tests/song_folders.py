"""Folders of recordings, and corpora prepared from them."""

import numpy as np
import soundfile
import torch

from fastsvc.config import MelConfig
from fastsvc.data.prepare import prepare

MEL = MelConfig(rate_hz=16000, hop_samples=160, fft_samples=512, window_samples=512, bins=20, high_hz=8000.0)


def tone(seconds, rate_hz, f0_hz=220.0, level=0.3):
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return level * sum(np.sin(2 * np.pi * h * f0_hz * time) / h for h in range(1, 6))


def write(path, audio, rate_hz, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate_hz, **options)


def two_singers(folder):
    """Two singers with the same four songs."""
    for singer, f0_hz in (("alto", 330.0), ("bass", 110.0)):
        for song in range(4):
            write(folder / singer / f"song{song}.wav", tone(1.0, 16000, f0_hz), 16000)
    return folder


def run(dataset, out, **options):
    options = {"jobs": 1, "mel": MEL, "valid": 0.25, "test": 0.25, "progress": False} | options
    return prepare(dataset, out, **options)


def tree(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


class Encoder:
    """Units are the mean and the peak of every 320 samples at 8 kHz, times a weight."""

    name, rate_hz, hop_samples, channels = "toy", 8000, 320, 2

    def __init__(self, weight=1.0):
        self.model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(self.model.weight, weight)
        self.calls = 0

    def encode(self, audio):
        self.calls += 1
        audio = audio[: len(audio) // 320 * 320].reshape(-1, 320) * self.model.weight.item()
        return torch.stack((audio.mean(1), audio.abs().amax(1)), 1)
