"""The harmonic source of the NSF vocoders: sines at f0 and its harmonics, noise where unvoiced.

After SineGen of M4Singer's HiFi-GAN and openvpi's NSF-HiFi-GAN (Wang et al., arXiv 1904.12088), and the one sine of
PC-NSF-HiFi-GAN, with one change: the phase is summed per frame in integers, so that it stays exact over hours and can
start at any frame. Upstream sums in float32, by frames (openvpi) or by samples (m4, so-vits-svc, DDSP-SVC), and drifts:
after minutes the phase differs, the frequency does not. Starting phases come from our own noise. All projects agree on
the levels of sines and noise; early Diffusion-SVC omitted the noise, with the same weights, which were trained with it.
"""

import torch
from torch import Tensor

from fastsvc.config import VocoderConfig
from fastsvc.model import noise

SINE_LEVEL = 0.1
VOICED_NOISE = 0.003
PULSE_LEVEL = 0.3  # RMS
BAND = 0.45  # of the rate: the pulse train's upper end


def frame_phase(f0_hz: Tensor, config: VocoderConfig) -> Tensor:
    """f0_hz [B, T] → the fundamental's phase at the start of each frame, in cycles 0 … 1, float64 [B, T]."""
    cycles = f0_hz.double() * config.mel.hop_samples / config.mel.rate_hz
    if config.source == "sine":
        count = config.source_hop_samples
        cycles = cycles + _glide(f0_hz) * (0.5 * (count - 1)) / _source_rate_hz(config)
    # in 2^-48 of a cycle: integer sums are exact in any order, and their overflow is a whole number of cycles
    steps = (cycles.remainder(1.0) * 2.0**48).round().to(torch.int64)
    starts = (torch.cumsum(steps, dim=1) - steps) & (2**48 - 1)
    return starts.double() * 2.0**-48


def initial_phase(config: VocoderConfig, seed: int, device: str | torch.device = "cpu") -> Tensor:
    """Starting phases [source_channels] in cycles, random except the fundamental's; for "pulse" all 0 and unused."""
    start = noise.uniform(seed, config.source_channels, device)
    if config.source == "pulse":
        return torch.zeros_like(start)
    return torch.cat([start.new_zeros(1), start[1:]])


def harmonics(f0_hz: Tensor, phase: Tensor, start: Tensor, draws: Tensor, config: VocoderConfig) -> Tensor:
    """Sines and noise [B, T·hop, source_channels].

    f0_hz [B, T] with 0 where unvoiced, phase [B, T] from :func:`frame_phase`, start [..., source_channels] in cycles,
    draws [B, T·hop, source_channels] standard normal. Harmonics above half the rate are omitted; upstream lets them
    alias into the voice (from 1333 Hz on at 24 kHz). "sine" uses neither start nor draws: see :func:`sine`.
    """
    if config.source == "sine":
        return sine(f0_hz, phase, config)
    assert config.source_channels, "this vocoder has no source"
    batch, frames = f0_hz.shape
    hop = config.mel.hop_samples
    inside = torch.arange(1, hop + 1, dtype=torch.float64, device=f0_hz.device) / config.mel.rate_hz
    cycles = (phase[:, :, None] + f0_hz.double()[:, :, None] * inside).reshape(batch, frames * hop)
    voiced = (f0_hz > 0).float().repeat_interleave(hop, dim=1)
    if config.source == "pulse":
        return pulse_and_noise(f0_hz.repeat_interleave(hop, dim=1), cycles, voiced, draws, config)
    order = torch.arange(1, config.harmonics + 2, dtype=torch.float64, device=f0_hz.device)
    turns = cycles[:, :, None] * order + start.double()
    sines = torch.sin(2 * torch.pi * turns.remainder(1.0).float()) * SINE_LEVEL
    voiced = voiced[:, :, None]
    audible = voiced * (f0_hz.repeat_interleave(hop, dim=1)[:, :, None] * order < config.mel.rate_hz / 2)
    level = voiced * VOICED_NOISE + (1 - voiced) * SINE_LEVEL / 3
    return sines * audible + level * draws


def sine(f0_hz: Tensor, phase: Tensor, config: VocoderConfig) -> Tensor:
    """sin at f0 [B, T·source_hop_samples, 1], of level 1, without noise; f0 glides from each frame to the next.

    f0_hz [B, T] is meant to be interpolated through unvoiced frames: at 0 the sine stands still. As the last frame has
    no next one, its f0 stands; a part of a recording is therefore exact but for its last frame.
    """
    count = config.source_hop_samples
    n = torch.arange(1, count + 1, dtype=torch.float64, device=f0_hz.device)
    f0 = f0_hz.double()[:, :, None]
    inside = (f0 * n + _glide(f0_hz)[:, :, None] * (0.5 * n * (n - 1) / count)) / _source_rate_hz(config)
    cycles = (phase[:, :, None] + inside).flatten(1)
    return torch.sin(2 * torch.pi * cycles.remainder(1.0).float())[..., None]


def _glide(f0_hz: Tensor) -> Tensor:
    """The change of f0 to the next frame, float64 [B, T], 0 in the last frame."""
    return torch.diff(f0_hz.double(), dim=1, append=f0_hz[:, -1:].double())


def _source_rate_hz(config: VocoderConfig) -> float:
    return config.mel.rate_hz * config.source_hop_samples / config.mel.hop_samples


def pulse_and_noise(f0_hz: Tensor, cycles: Tensor, voiced: Tensor, draws: Tensor, config: VocoderConfig) -> Tensor:
    """[B, L, 2]: Σ cos(kx) over the harmonics below BAND, equally loud at every f0, and noise (less where voiced).

    With eight harmonics a network must invent the higher ones, which takes long trainings. Here it gets them all, by
    Σ_{k=1…K} cos kx = sin((K+½)x) / (2 sin(x/2)) − ½, and the next one is faded in, so that nothing jumps with f0.
    f0_hz, cycles (float64), voiced [B, L], draws [B, L, 2].
    """
    count = BAND * config.mel.rate_hz / f0_hz.clamp(min=1.0).double()
    full_count = count.floor()
    x = 2 * torch.pi * (cycles + 0.5).remainder(1.0) - torch.pi  # −π … π, where sin(x/2) vanishes at 0 alone
    half = torch.sin(x / 2)
    near = half.abs() < 1e-9
    kernel = torch.where(near, full_count, torch.sin((full_count + 0.5) * x) / (2 * torch.where(near, 1.0, half)) - 0.5)
    pulse = (kernel + (count - full_count) * torch.cos((full_count + 1) * x)) / (count / 2).sqrt()
    level = voiced * 0.1 + (1 - voiced)
    return PULSE_LEVEL * torch.stack([pulse.float() * voiced, draws[..., 1] * level], dim=-1)


def seeded(f0_hz: Tensor, config: VocoderConfig, seed: int = 0, first_frame: int = 0, phase: Tensor | None = None):
    """:func:`harmonics` with counter-based noise, for frames first_frame … of one recording; f0_hz [1, T].

    ``phase`` [1, T] is the slice of the whole recording's :func:`frame_phase`; None starts at 0.
    """
    hop = config.mel.hop_samples
    phase = frame_phase(f0_hz, config) if phase is None else phase
    if config.source == "sine":
        return sine(f0_hz, phase, config)
    draws = noise.gaussian(
        seed, 0, first_frame * hop, f0_hz.shape[1] * hop, config.source_channels, f0_hz.device, noise.SOURCE_STREAM
    )
    return harmonics(f0_hz, phase, initial_phase(config, seed, f0_hz.device), draws[None], config)
