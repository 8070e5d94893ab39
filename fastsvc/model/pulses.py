"""The excitation of the source-filter vocoder: a band-limited pulse train at f0, and white noise.

Both have the same mean power in every band, whatever f0 is: a filter's magnitude then is the level of what it lets
through. Between the middles of frames f0 glides; next to unvoiced frames it stands. With steps instead, an interval of
5 % from frame to frame would surround the tenth harmonic of 200 Hz with sidebands at the frame rate, −12 dB.
The pulses are sums of cosines, so they lie between samples; set at whole samples they would jitter by ±1.6 % at 800 Hz.
"""

import torch
from torch import Tensor

from fastsvc.config.source_filter import SourceFilterConfig
from fastsvc.model import noise

BAND = 0.45  # of the rate: where the pulses' harmonics end


def frame_phase(f0_hz: Tensor, config: SourceFilterConfig) -> Tensor:
    """f0_hz [B, T], 0 where unvoiced → the phase at the first sample of each frame, in cycles 0 … 1, float64 [B, T].

    Exact in any order and over any length: the sum is one of integers, in 2^-48 of a cycle, whose overflow is a whole
    number of cycles.
    """
    start, middle, end = _borders(f0_hz)
    cycles = (start + 2 * middle + end) * (0.25 * config.mel.hop_samples / config.mel.rate_hz)
    steps = (cycles.remainder(1.0) * 2.0**48).round().to(torch.int64)
    starts = (torch.cumsum(steps, dim=1) - steps) & (2**48 - 1)
    return starts.double() * 2.0**-48


def excitation(f0_hz: Tensor, phase: Tensor, noises: Tensor, config: SourceFilterConfig) -> Tensor:
    """Pulses and noise [B, T·hop, 2], float32.

    f0_hz [B, T], phase [B, T] from :func:`frame_phase` (a part of a recording takes its slice), noises [B, T·hop]
    standard normal. A part is exact but for its first and last frame, which glide to nothing.
    """
    hop, rate_hz = config.mel.hop_samples, config.mel.rate_hz
    start, middle, end = (border[:, :, None] for border in _borders(f0_hz))
    place = torch.arange(hop, dtype=torch.float64, device=f0_hz.device) / hop
    rising, falling = place.clamp(max=0.5), (place - 0.5).clamp(min=0)  # time in the frame's first and second half
    turned = start * rising + (middle - start) * rising.square()
    turned = turned + middle * falling + (end - middle) * falling.square()
    cycles = phase[:, :, None] + turned * (hop / rate_hz)
    hz = start + (middle - start) * 2 * rising + (end - middle) * 2 * falling
    voiced = (f0_hz > 0).float()[:, :, None]
    pulses = _cosines(cycles, hz.clamp(min=1.0), rate_hz).float() * voiced
    return torch.stack([pulses.flatten(1), noises], dim=-1)


def seeded(f0_hz: Tensor, config: SourceFilterConfig, seed: int = 0, first_frame: int = 0, phase: Tensor | None = None):
    """:func:`excitation` with counter-based noise, for the frames first_frame … of one recording; f0_hz [1, T].

    A sample's noise is that of its frame and its place in it: four samples cost as much as one.

    ``phase`` [1, T]: a slice of the whole recording's :func:`frame_phase`; None starts at 0.
    """
    hop = config.mel.hop_samples
    phase = frame_phase(f0_hz, config) if phase is None else phase
    noises = draws(seed, first_frame, f0_hz.shape[1], hop, f0_hz.device)
    return excitation(f0_hz, phase, noises.reshape(1, -1), config)


def draws(seed: int, first_frame: int, frames: int, hop: int, device: str | torch.device = "cpu") -> Tensor:
    """The noise [frames, hop] of :func:`seeded`."""
    return noise.gaussian(seed, 0, first_frame, frames, hop, device, noise.SOURCE_STREAM)


def _borders(f0_hz: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """f0 at the start, in the middle and at the end of each frame, float64 [B, T]: half-way to voiced neighbours."""
    f0 = f0_hz.double()
    before, after = torch.cat([f0[:, :1], f0[:, :-1]], 1), torch.cat([f0[:, 1:], f0[:, -1:]], 1)
    before, after = (torch.where(other > 0, other, f0) for other in (before, after))
    silent = f0 <= 0
    return ((f0 + before) / 2).masked_fill(silent, 0), f0, ((f0 + after) / 2).masked_fill(silent, 0)


def _cosines(cycles: Tensor, hz: Tensor, rate_hz: float) -> Tensor:
    """2·√(hz/rate)·Σ cos(kx) over the harmonics below BAND, the next one faded in so that nothing jumps with f0.

    Σ_{k=1…K} cos kx = sin((K+½)x) / (2 sin(x/2)) − ½. Harmonics of amplitude a lie hz apart with a power of a²/2 each,
    unit white noise has 2/rate in every Hz.
    """
    count = BAND * rate_hz / hz
    whole = count.floor()
    x = 2 * torch.pi * (cycles + 0.5).remainder(1.0) - torch.pi  # −π … π, where sin(x/2) vanishes at 0 alone
    half = torch.sin(x / 2)
    near = half.abs() < 1e-9
    kernel = torch.where(near, whole, torch.sin((whole + 0.5) * x) / (2 * torch.where(near, 1.0, half)) - 0.5)
    return 2 * (hz / rate_hz).sqrt() * (kernel + (count - whole) * torch.cos((whole + 1) * x))
