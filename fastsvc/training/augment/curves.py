"""Random gains over frequency."""

from __future__ import annotations

import torch

from fastsvc.training.augment.draws import log_uniform, often, uniform


def smooth_curve(generator: torch.Generator, hz: torch.Tensor, batch: int, bumps_db: float, tilt_db: float):
    """Amplitude gains [B, F]: three bumps of a third to two octaves and a tilt, over log frequency."""
    octave = torch.log2(hz.clamp(min=30.0) / 30.0)
    span = float(octave[-1])
    centre, width = uniform(generator, 0, span, batch, 3, 1), uniform(generator, 0.3, 2.0, batch, 3, 1)
    height = uniform(generator, -bumps_db, bumps_db, batch, 3, 1)
    bumps = (height * torch.exp(-0.5 * ((octave - centre) / width) ** 2)).sum(1)
    tilt = uniform(generator, -tilt_db, tilt_db, batch, 1) * (octave / span - 0.5)
    return 10 ** ((bumps + tilt) / 20)


def band_limits(generator: torch.Generator, hz: torch.Tensor, batch: int, probability: float) -> torch.Tensor:
    """Amplitude gains [B, F] of low-passes (3.4-8 kHz) and, half as often, gentle high-passes (40-250 Hz)."""
    narrow = often(generator, 0.5, batch, 1)
    cutoff = torch.where(narrow, uniform(generator, 3400, 4000, batch, 1), log_uniform(generator, 4000, 8000, batch, 1))
    steep = log_uniform(generator, 10, 100, batch, 1)
    low_pass = 1 / (1 + (hz / cutoff).pow(steep).clamp(max=1e6))
    corner = log_uniform(generator, 40, 250, batch, 1)
    high_pass = (hz / corner).square() / (1 + (hz / corner).square())
    gain = torch.where(often(generator, probability, batch, 1), low_pass, torch.ones(()))
    return gain * torch.where(often(generator, probability / 2, batch, 1), high_pass, torch.ones(()))


def bends(generator: torch.Generator, hz: torch.Tensor, batch: int, most: float) -> torch.Tensor:
    """Factors of frequency [B, F] around 1, which differ from formant to formant: waves of 3 to 6 octaves.

    Women's and men's formants differ by other factors each (Fant 1975), so one warp for all makes no other person. Up
    to 0.3 the order of frequencies stays.
    """
    octave = torch.log2(hz.clamp(min=50.0) / 50.0)
    length, phase = uniform(generator, 3, 6, batch, 1), uniform(generator, 0, 2 * torch.pi, batch, 1)
    return (1 + most * uniform(generator, 0, 1, batch, 1)).pow(torch.sin(2 * torch.pi * octave / length + phase))
