"""Change of sample rate on a GPU for audio that lies on the host, piece by piece, so of any length."""

from __future__ import annotations

import numpy as np
import torch

from fastsvc.audio import resample
from fastsvc.audio.polyphase import Polyphase, polyphase
from fastsvc.engine.cuda.copies import HostValues, to_device

PIECE = 1 << 22  # output samples at a time


class DeviceResampler:
    """As resample.resample, which does what this cannot: other qualities, rates without a filter, and what finds no
    memory on the device."""

    def __init__(self, device: torch.device):
        self.device = device

    def __call__(self, audio: np.ndarray, from_hz: int, to_hz: int, quality: str = "HQ") -> np.ndarray:
        """audio [samples] → float32 [resampled_length]."""
        poly = polyphase(from_hz, to_hz, self.device) if quality == "HQ" and from_hz != to_hz and audio.size else None
        if poly is not None:
            try:
                return self._resampled(audio, poly)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
        return resample.resample(audio, from_hz, to_hz, quality)

    def _resampled(self, audio: np.ndarray, poly: Polyphase) -> np.ndarray:
        out = np.zeros(resample.resampled_length(len(audio), poly.from_hz, poly.to_hz), np.float32)
        rows = max(1, PIECE // poly.group)
        for row in range(0, -(-len(out) // poly.group), rows):
            target = out[row * poly.group :][: rows * poly.group]
            start = row * poly.step - poly.reach
            piece = audio[max(0, start) : max(0, start + poly.padded(len(target)))]
            before = max(0, -start)
            piece = np.pad(piece, (before, poly.padded(len(target)) - before - len(piece)))
            made = poly.over(to_device(torch.from_numpy(piece), self.device, torch.float32), len(target))
            target[:] = HostValues(made).wait()
        return out
