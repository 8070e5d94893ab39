"""Whose voice it is: Resemblyzer's speaker encoder (Apache-2.0; GE2E, Wan et al. 2018), trained on English speakers.

Of the package only the weights are read: the rest of it needs webrtcvad, hence a compiler. Network and mel are those
of its voice_encoder.py and audio.py; long pauses are cut by level instead of by webrtcvad. Every recording is brought
to one loudness: the package raises quiet ones only, and its vectors depend on level (6 dB less: .92 of itself).
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import nn

from fastsvc.audio.mel import filter_bank
from fastsvc.audio.resample import resample
from fastsvc.config import MelConfig
from fastsvc.evaluation.ears import packages
from fastsvc.evaluation.ears.activity import speaking
from fastsvc.reading import loading

RATE_HZ = 16000
PART_FRAMES = 160  # 1.6 s of 10 ms
LOUDNESS_DB = -30.0
_PARTS_PER_SECOND, _COVERAGE = 1.3, 0.75
_FFT, _HOP, _BINS = 400, 160, 40
_MEL = MelConfig(
    rate_hz=RATE_HZ,
    hop_samples=_HOP,
    fft_samples=_FFT,
    window_samples=_FFT,
    bins=_BINS,
    low_hz=0.0,
    high_hz=RATE_HZ / 2,
)


class _Encoder(nn.Module):
    """Mel [B, PART_FRAMES, 40] → unit vectors [B, 256]."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(_BINS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(mel)
        return torch.nn.functional.normalize(self.linear(hidden[-1]).relu(), dim=1)


@functools.lru_cache(maxsize=1)
def _network() -> _Encoder:
    state = loading.load(packages.weights("resemblyzer"))["model_state"]
    network = _Encoder()
    own = network.state_dict()
    network.load_state_dict({name: tensor for name, tensor in state.items() if name in own})
    return network.eval().requires_grad_(False)


@functools.lru_cache(maxsize=1)
def _bank() -> torch.Tensor:
    return torch.from_numpy(filter_bank(_MEL).T.copy())


def _mel(audio: np.ndarray) -> torch.Tensor:
    """audio [samples] at 16 kHz → power mel (no logarithm) [frames, 40], frame i centred on sample 160 i."""
    window = torch.hann_window(_FFT)
    padded = torch.from_numpy(np.pad(audio, _FFT // 2))
    spectrum = torch.stft(padded, _FFT, _HOP, _FFT, window, center=False, return_complex=True)
    return spectrum.abs().square().T @ _bank()


@torch.inference_mode()
def embed(audio: np.ndarray, rate_hz: int) -> np.ndarray:
    """audio [samples] → unit vector [256], the mean over parts of 1.6 s; NaNs for silence or nothing.

    Raises MissingPackageError, CheckpointError.
    """
    audio = resample(np.asarray(audio, np.float32), rate_hz, RATE_HZ)
    audio = audio[speaking(audio, RATE_HZ)]
    rms = np.sqrt(np.mean(np.square(audio, dtype=np.float64))) if len(audio) else 0.0
    if not rms > 1e-6:
        return np.full(256, np.nan)
    audio = audio * np.float32(10 ** (LOUDNESS_DB / 20) / rms)
    step = round(RATE_HZ / _PARTS_PER_SECOND / _HOP)
    frames = -(-(len(audio) + 1) // _HOP)
    starts = list(range(0, max(1, frames - PART_FRAMES + step + 1), step))
    if len(starts) > 1 and (len(audio) / _HOP - starts[-1]) / PART_FRAMES < _COVERAGE:
        starts.pop()
    mel = _mel(np.pad(audio, (0, max(0, (starts[-1] + PART_FRAMES) * _HOP - len(audio)))))
    parts = _network()(torch.stack([mel[start : start + PART_FRAMES] for start in starts]))
    mean = parts.mean(dim=0).numpy().astype(np.float64)
    return mean / np.linalg.norm(mean)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two of :func:`embed`. The same person: about .84 and more, two people about .5 to .6."""
    return float(np.dot(a, b))
