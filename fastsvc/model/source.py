"""The harmonic source of the NSF vocoders: sines at f0 and its harmonics, noise where unvoiced.

After SineGen of M4Singer's HiFi-GAN and openvpi's NSF-HiFi-GAN (Wang et al., arXiv 1904.12088), with one change:
the phase is summed per frame in integers, so that it stays right over hours and can be entered anywhere.
"""

import torch
from torch import Tensor

from fastsvc.config import VocoderConfig
from fastsvc.model import noise

SINE_LEVEL = 0.1
VOICED_NOISE = 0.003


def frame_phase(f0_hz: Tensor, config: VocoderConfig) -> Tensor:
    """f0_hz [B, T] → the fundamental's phase at the start of each frame, in cycles 0 … 1, float64 [B, T]."""
    cycles = f0_hz.double() * config.mel.hop_samples / config.mel.rate_hz
    # in 2^-48 of a cycle: integer sums are exact in any order, and their overflow is a whole number of cycles
    steps = (cycles.remainder(1.0) * 2.0**48).round().to(torch.int64)
    starts = (torch.cumsum(steps, dim=1) - steps) & (2**48 - 1)
    return starts.double() * 2.0**-48


def initial_phase(config: VocoderConfig, seed: int, device="cpu") -> Tensor:
    """Random starting phases [harmonics + 1] in cycles; the fundamental starts at 0."""
    start = noise.uniform(seed, config.harmonics + 1, device)
    return torch.cat([start.new_zeros(1), start[1:]])


def harmonics(f0_hz: Tensor, phase: Tensor, start: Tensor, draws: Tensor, config: VocoderConfig) -> Tensor:
    """Sines and noise [B, T·hop, harmonics + 1].

    f0_hz [B, T] with 0 where unvoiced, phase [B, T] from :func:`frame_phase`, start [..., harmonics + 1] in cycles,
    draws [B, T·hop, harmonics + 1] standard normal.
    """
    batch, frames = f0_hz.shape
    hop = config.mel.hop_samples
    inside = torch.arange(1, hop + 1, dtype=torch.float64, device=f0_hz.device) / config.mel.rate_hz
    cycles = phase[:, :, None] + f0_hz.double()[:, :, None] * inside  # [B, T, hop]
    order = torch.arange(1, config.harmonics + 2, dtype=torch.float64, device=f0_hz.device)
    turns = cycles.reshape(batch, frames * hop, 1) * order + start.double()
    sines = torch.sin(2 * torch.pi * turns.remainder(1.0).float()) * SINE_LEVEL
    voiced = (f0_hz > 0).to(sines.dtype).repeat_interleave(hop, dim=1)[:, :, None]
    level = voiced * VOICED_NOISE + (1 - voiced) * SINE_LEVEL / 3
    return sines * voiced + level * draws


def seeded(f0_hz: Tensor, config: VocoderConfig, seed: int = 0, first_frame: int = 0, phase: Tensor | None = None):
    """:func:`harmonics` with counter-based noise, for frames first_frame … of one recording; f0_hz [1, T].

    ``phase`` [1, T] is the slice of the whole recording's :func:`frame_phase`; None starts at 0.
    """
    hop = config.mel.hop_samples
    phase = frame_phase(f0_hz, config) if phase is None else phase
    draws = noise.gaussian(
        seed, 0, first_frame * hop, f0_hz.shape[1] * hop, config.harmonics + 1, f0_hz.device, noise.SOURCE
    )
    return harmonics(f0_hz, phase, initial_phase(config, seed, f0_hz.device), draws[None], config)
