"""Samples of a recording → audio at the rates of pitch tracker and encoder, its level and its low band: one graph.

High-pass, level and resampling are audio/highpass.py, engine/extraction.levelled and audio/polyphase.py. Nothing here
waits for the device: lengths and the level are tensors, so that a graph of one shape serves every recording in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsvc.audio import envelope
from fastsvc.audio.polyphase import Polyphase, polyphase
from fastsvc.audio.resample import resampled_length
from fastsvc.config import MelConfig
from fastsvc.engine import extraction
from fastsvc.engine.cuda.filters import Blocks, HighPass, LowBand, sustained


@dataclass(frozen=True)
class FrontShape:
    """``frames``: of the mel, at most; ``high_pass``: whether low frequencies are removed."""

    rate_hz: int
    frames: int
    high_pass: bool


class Resampling:
    """A static input for a pair of rates, which may be equal, and the audio made of it: at most ``outputs`` samples."""

    def __init__(self, from_hz: int, to_hz: int, capacity: int, outputs: int, device: torch.device):
        self.poly: Polyphase | None = None if from_hz == to_hz else polyphase(from_hz, to_hz, device)
        assert from_hz == to_hz or self.poly is not None, "DeviceFront.takes() has asked"
        self.before, needed = (0, outputs) if self.poly is None else (self.poly.reach, self.poly.padded(outputs))
        self.capacity, self.outputs = capacity, outputs
        self.padded = torch.zeros(max(needed, self.before + capacity), device=device)
        self.places = torch.arange(outputs, device=device)

    def __call__(self, audio: Tensor, count: Tensor) -> Tensor:
        """audio [capacity] → [outputs], 0 from sample ``count`` on."""
        self.padded[self.before : self.before + self.capacity].copy_(audio)
        out = self.padded[: self.outputs] if self.poly is None else self.poly.over(self.padded, self.outputs)
        return out.masked_fill(self.places >= count, 0)


class FrontProgram:
    """Static input ``audio`` [capacity] and ``numbers``; outputs ``at_mel`` [frames · hop], ``at_encoder`` and
    ``measured``, which :meth:`read` reads."""

    def __init__(self, mel: MelConfig, encoder, shape: FrontShape, device: torch.device):
        rate_hz, span = shape.rate_hz, shape.frames * mel.hop_samples
        self.frames, self.hop_samples = shape.frames, mel.hop_samples
        self.capacity = math.ceil((span + 0.5) * rate_hz / mel.rate_hz)
        encoder_samples = max(resampled_length(self.capacity, rate_hz, encoder.rate_hz), encoder.hop_samples)
        self.audio = torch.zeros(self.capacity, device=device)
        # samples, samples at the mel's rate and at the encoder's, frames, the peak to reach (0: no level is changed)
        self.numbers = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0], dtype=torch.float64, device=device)
        self.places = torch.arange(self.capacity, device=device)
        self.high_pass = HighPass(rate_hz, self.capacity, device) if shape.high_pass else None
        self.blocks = Blocks(rate_hz, self.capacity, device)
        self.fine = Blocks(rate_hz, self.capacity, device, envelope.FINE * envelope.BLOCKS_HZ)
        self.to_mel = Resampling(rate_hz, mel.rate_hz, self.capacity, span, device)
        self.to_encoder = Resampling(rate_hz, encoder.rate_hz, self.capacity, encoder_samples, device)
        self.low_band = LowBand(mel.rate_hz, mel.hop_samples, shape.frames, device) if shape.high_pass else None
        self.at_mel, self.at_encoder = torch.zeros(span, device=device), torch.zeros(encoder_samples, device=device)
        self.sizes = [2, self.blocks.count, self.fine.count]
        if self.low_band is not None:
            self.sizes += [shape.frames, -(-span // self.low_band.factor)]
        self.measured = torch.zeros(sum(self.sizes), dtype=torch.float64, device=device)

    def set(self, audio: Tensor, lengths: tuple[int, int, int, int], peak: float | None) -> None:
        """``audio`` [samples] on the device; ``lengths``: the first four of ``numbers``."""
        self.audio[: len(audio)].copy_(audio, non_blocking=True)
        numbers = torch.tensor([*lengths, peak or 0.0], dtype=torch.float64)
        if self.numbers.device.type == "cuda":
            numbers = numbers.pin_memory()  # PyTorch reuses its memory only after the copy
        self.numbers.copy_(numbers, non_blocking=True)

    def run(self) -> None:
        samples, mel_samples, encoder_samples, frames = self.numbers[:4].long().unbind()
        audio = self.audio if self.high_pass is None else self.high_pass(self.audio, samples)
        audio = audio.masked_fill(self.places >= samples, 0)
        peaks = self.blocks.peaks(audio)
        lasting = sustained(peaks, self.blocks.valid(samples)).amax().double() * extraction.PEAKY
        highest, wanted = peaks.amax().double(), self.numbers[4]
        loudest = torch.minimum(highest, lasting)
        levels = (wanted > 0) & (loudest > extraction.SILENT)
        gain = torch.where(levels, wanted / loudest.clamp_min(1e-30), 1.0)
        parts = [torch.stack((gain, highest)), self.blocks.powers(audio, samples), self.fine.powers(audio, samples)]
        audio = audio * gain.float()
        self.at_mel.copy_(self.to_mel(audio, mel_samples))
        self.at_encoder.copy_(self.to_encoder(audio, encoder_samples))
        if self.low_band is not None:
            band, level_db = self.low_band(self.at_mel, frames * self.hop_samples)
            parts += [level_db, band.double()]
        torch.cat(parts, out=self.measured)
