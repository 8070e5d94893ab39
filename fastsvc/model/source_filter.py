"""The source-filter vocoder: log-mel and f0 → filters for pulses and for noise → audio.

The level comes by construction. A mel m is the filter bank's answer to |H·E|, where E is the excitation; the bank's
answer to E alone is known, e(f0) for pulses and a constant for noise (fastsvc/model/envelopes.py), so m / e is |H| at
the bank's centres, and log|H| lies between them by interpolation. A network at the frame rate, of ConvNeXt blocks (Liu
et al., arXiv 2201.03545; for vocoders Siuzdak, arXiv 2306.00814), corrects both envelopes, which says how much of each
band is pulses and how much noise, and sets the loudness of both within the frame. It starts at nothing: untrained, the
vocoder is the formula. Filters are minimum-phase and are applied by overlap-add (fastsvc/model/filters.py), after
Wang et al. (arXiv 1904.12088) and DDSP (Engel et al., arXiv 2001.04643).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config.reach import Reach
from fastsvc.config.source_filter import SourceFilterConfig
from fastsvc.model import envelopes
from fastsvc.model.filters import filtered

QUIETER_NOISE = (-3.0, -0.5)  # nepers below the mel of what is untrained, at 0 Hz and at half the rate, where voiced


class Block(nn.Module):
    """x + scale · MLP(norm(depthwise convolution)), on [B, T, C]."""

    def __init__(self, channels: int, kernel: int, expansion: int, reach: Reach):
        super().__init__()
        self.reach = reach
        self.conv = nn.Conv1d(channels, channels, kernel, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.wide = nn.Linear(channels, expansion * channels)
        self.narrow = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(F.pad(x, (0, 0, *self.reach)).transpose(1, 2)).transpose(1, 2))
        return x + self.scale * self.narrow(F.gelu(self.wide(y)))


class SourceFilter(nn.Module):
    """Log-mel, f0 and excitation → waveform."""

    def __init__(self, config: SourceFilterConfig):
        super().__init__()
        self.config = config
        self.enter = nn.Conv1d(2 * config.mel.bins + 2, config.channels, config.kernel)
        self.reach, *reaches = config.reaches
        self.blocks = nn.ModuleList(Block(config.channels, config.kernel, config.expansion, reach) for reach in reaches)
        self.norm = nn.LayerNorm(config.channels)
        self.leave = nn.Linear(config.channels, 2 * (config.bands + config.gain_points))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        for name, table in {} if self.leave.weight.is_meta else tables(config).items():  # a skeleton computes nothing
            self.register_buffer(name, table, persistent=False)

    def forward(self, mel: Tensor, f0_hz: Tensor, excitation: Tensor) -> Tensor:
        """mel [B, T, M] (log base as configured), f0_hz [B, T] with 0 where unvoiced, excitation [B, T·hop, 2] as
        fastsvc/model/pulses.py gives it → audio [B, T·hop], in float32 and not bounded."""
        log_magnitude, gains = self.filters(mel, f0_hz)
        return filtered(excitation * gains, log_magnitude)

    def filters(self, mel: Tensor, f0_hz: Tensor) -> tuple[Tensor, Tensor]:
        """(natural log-magnitudes [B, T, 2, P/2+1] of the filters of pulses and of noise, gains [B, T·hop, 2])."""
        config = self.config
        mel = mel if config.mel.log_base == "10" else mel / math.log(10)
        voiced = (f0_hz > 0)[:, :, None]
        flat = torch.where(voiced, envelopes.looked_up(self.pulse_mels, f0_hz), self.noise_mel)
        pitch = torch.where(voiced, torch.log2(f0_hz.clamp(min=1.0) / 200)[:, :, None], 0)
        told = torch.cat([0.5 * mel + 1, flat, pitch, voiced.to(mel)], dim=2)
        x = self.enter(F.pad(told, (0, 0, *self.reach)).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        x = self.leave(self.norm(x)).to(self.spread.dtype)
        with torch.autocast(mel.device.type, enabled=False):
            changes, gains = x.unflatten(2, (2, -1)).split([config.bands, config.gain_points], dim=3)
            base = torch.stack([mel - flat, mel - self.noise_mel], dim=2).to(x.dtype)
            log_magnitude = math.log(10) * (base @ self.spread) + changes @ self.correction
            tilt = torch.linspace(*QUIETER_NOISE, log_magnitude.shape[-1], device=mel.device)
            quieter = torch.stack([torch.zeros_like(tilt), tilt]) * voiced[..., None]
            return log_magnitude + quieter, _over_time(gains.exp(), config.mel.hop_samples)


def tables(config: SourceFilterConfig) -> dict[str, Tensor]:
    """What is no weight, as it follows from the configuration (fastsvc/model/envelopes.py): spread [M, P/2+1] and
    correction [bands, P/2+1], which bring mel bins and bands to a filter's frequencies; pulse_mels [rows, M] and
    noise_mel [M]."""
    mel, frequencies = config.mel, config.transform_samples // 2 + 1
    return {
        "spread": envelopes.interpolation(mel, mel.bins, frequencies),
        "correction": envelopes.interpolation(mel, config.bands, frequencies),
        "pulse_mels": envelopes.pulse_mels(mel),
        "noise_mel": envelopes.noise_mel(mel),
    }


def _over_time(gains: Tensor, hop: int) -> Tensor:
    """gains [B, T, 2, N] at N points of each frame → [B, T·hop, 2], on straight lines between them."""
    points = gains.transpose(1, 2).flatten(2)
    return F.interpolate(points, scale_factor=hop // gains.shape[3], mode="linear").transpose(1, 2)


def reach(config: SourceFilterConfig) -> Reach:
    """Mel frames before and after its own that a sample of the output depends on (upper bounds, in whole frames).

    A frame's excitation begins half a hop before it, and its filter's answer has transform_samples. To the other side
    the next frame's excitation reaches into a frame. It is two hops long, with the gains of one more frame; the end of
    its answer comes around to the beginning, as the filters' transform is cyclic.
    """
    hop = config.mel.hop_samples
    filters = math.ceil((config.transform_samples - hop // 2) / hop)
    past, ahead = (sum(side) for side in zip(*config.reaches))
    return Reach(past + max(2, filters), ahead + 2)


def halo_frames(config: SourceFilterConfig) -> int:
    """The longer side of :func:`reach`."""
    return max(reach(config))
