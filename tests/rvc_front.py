"""Stand-ins for an engine with a voice of RVC, as its front end uses it."""

import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from fake_engine import FakeEngine

from fastsvc.audio.resample import resample
from fastsvc.config import RvcConfig
from fastsvc.engine.fronts import front_for

PIECES = Path(__file__).parent / "data" / "rvc" / "pieces"


CONFIG = RvcConfig()


def piece(name: str):
    return np.load(PIECES / f"{name}.npz")


class GoldenEmbedder:
    """The embedder of offline_one and offline_cut: tanh of frames of 400 samples every 320, projected."""

    rate_hz, hop_samples, channels = 16000, 320, 768
    output_device = torch.device("cpu")

    def __init__(self):
        i, j = np.arange(400)[:, None], np.arange(self.channels)
        self.projection = np.cos(0.05 * i * (j + 1)) / 6

    def encode(self, audio):
        """audio [samples] → units [(samples − 80) // 320, 768]."""
        frames = np.lib.stride_tricks.sliding_window_view(np.asarray(audio, np.float64), 400)[::320]
        return torch.from_numpy(np.tanh(frames @ self.projection)).float()


class Index:
    """Gives 100 more than the units, and notes what it was asked."""

    def __init__(self):
        self.asked = []

    def blend(self, units, rate, search):
        self.asked.append((rate, search))
        return units + 100 * rate


class RvcEngine(FakeEngine):
    """A FakeEngine that is a voice of RVC."""

    path, encoder, yin = "rvc.fsvc", GoldenEmbedder(), None

    def __init__(self, config=CONFIG, index=None, unvoiced="zero", **options):
        super().__init__(**options)
        self.config, self.index, self.lock = config, index, threading.RLock()
        self.front, self.device_front, self.device_join, self.resample = front_for(config), None, None, resample
        self.manifest = SimpleNamespace(vocoder=SimpleNamespace(unvoiced_f0=unvoiced), input_peak=None)
