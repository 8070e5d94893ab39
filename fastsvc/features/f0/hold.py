"""Filling pitch through unvoiced frames without looking ahead, for streams and for what is compared with them."""

from __future__ import annotations

import torch
from torch import Tensor

START_HZ = 200.0  # before anything was voiced; such frames have no harmonics


def held(f0_hz: Tensor, voiced: Tensor, before_hz: float = START_HZ) -> Tensor:
    """f0_hz [T] of the voiced frames, held until the next one; ``before_hz`` until the first."""
    frames = torch.arange(len(f0_hz), device=f0_hz.device)
    latest = torch.where(voiced, frames, -1).cummax(0).values if len(frames) else frames
    return torch.where(latest >= 0, f0_hz[latest.clamp_min(0)], before_hz)
