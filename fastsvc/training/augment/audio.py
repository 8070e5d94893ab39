"""Changes of audio before its spectrum is taken: rooms, overdriven microphones, equalisers."""

from __future__ import annotations

import math

import torch

from fastsvc.training.augment.curves import smooth_curve
from fastsvc.training.augment.draws import log_uniform, often, uniform


def reverberate(audio: torch.Tensor, rate_hz: int, generator: torch.Generator, probability: float) -> torch.Tensor:
    """Some items of ``audio [B, S]`` in small rooms: noise that decays by 60 dB in 0.1-0.6 s, 3-20 dB below the direct
    sound."""
    chosen = often(generator, probability, audio.shape[0]).to(audio.device)
    if not chosen.any():
        return audio
    out = audio.clone()
    out[chosen] = _in_rooms(audio[chosen], rate_hz, generator)
    return out


def _in_rooms(audio: torch.Tensor, rate_hz: int, generator: torch.Generator) -> torch.Tensor:
    batch, samples = audio.shape
    length = int(0.3 * rate_hz)
    time = torch.arange(length) / rate_hz
    decay = torch.exp(-6.9 * time / log_uniform(generator, 0.1, 0.6, batch, 1))
    tail = torch.randn(batch, length, generator=generator) * decay * (time > 0.002)
    level = 10 ** (-uniform(generator, 3, 20, batch, 1) / 20)
    tail = tail / tail.square().sum(1, keepdim=True).sqrt() * level
    tail[:, 0] += 1.0
    size = _fast_length(samples + length)
    return torch.fft.irfft(torch.fft.rfft(audio, size) * torch.fft.rfft(tail.to(audio.device), size), size)[:, :samples]


def _fast_length(samples: int) -> int:
    size = 2 ** math.floor(math.log2(samples))
    return next(n for n in (size, size * 9 // 8, size * 5 // 4, size * 3 // 2, 2 * size) if n >= samples)


def saturate(audio: torch.Tensor, generator: torch.Generator, probability: float) -> torch.Tensor:
    """Peaks of some items are bent or nearly clipped, as by a microphone too close."""
    batch = audio.shape[0]
    drive = log_uniform(generator, 0.5, 4.0, batch, 1) * often(generator, probability, batch, 1)
    drive = (drive / audio.abs().amax(1, keepdim=True).clamp(min=1e-4)).to(audio.device)
    return torch.where(drive > 0, torch.tanh(audio * drive) / drive.clamp(min=1e-6), audio)


def random_equaliser(audio: torch.Tensor, rate_hz: int, generator: torch.Generator, bumps_db: float, tilt_db: float):
    """``audio [B, S]`` through smooth zero-phase curves, scaled down where it would pass full scale."""
    samples = audio.shape[1]
    size = _fast_length(samples + rate_hz // 50)
    hz = torch.linspace(0, rate_hz / 2, size // 2 + 1)
    curve = smooth_curve(generator, hz, audio.shape[0], bumps_db, tilt_db).to(audio.device)
    out = torch.fft.irfft(torch.fft.rfft(audio, size) * curve, size)[:, :samples]
    return out / (out.abs().amax(1, keepdim=True) / 0.99).clamp(min=1.0)
