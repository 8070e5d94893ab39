"""Coarse pitch: f0 on a scale of mels, rounded to the rows of RVC's embedding."""

import math

import torch
from torch import Tensor

from fastsvc.config.rvc import PITCHES


def mels(f0_hz: Tensor) -> Tensor:
    """1127·ln(1 + f0 / 700): O'Shaughnessy's scale."""
    return 1127 * torch.log1p(f0_hz / 700)


def coarse_pitch(f0_hz: Tensor, low_hz: float = 50.0, high_hz: float = 1100.0) -> Tensor:
    """f0 of any shape, 0 where unvoiced → rows 1 … 255, evenly spaced in mels from low_hz to high_hz; 0 Hz gives 1.

    Pitches outside are clipped, halves rounded to even. Computed in float64 for f0 of any type, so that a frame on the
    border of two rows is in the same row everywhere.
    """
    low, high = (1127 * math.log1p(hz / 700) for hz in (low_hz, high_hz))
    rows = 1 + (mels(f0_hz.double()) - low) * (PITCHES - 2) / (high - low)
    return rows.clamp(1, PITCHES - 1).round().long()
