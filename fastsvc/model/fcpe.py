"""FCPE: log-mel -> salience of 360 pitches by gated depthwise convolutions (Luo et al. 2025, 2509.15140).

The network of the package torchfcpe with the configuration of its bundled weights: `conv_only`, so without attention.
Only one group norm reaches beyond ``HALO_FRAMES``, because its statistics are those of the whole recording;
:meth:`Fcpe.front` and :meth:`Fcpe.back` are the parts before and after it, so that long input can be cut exactly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from fastsvc.config import MelConfig

MEL = MelConfig(
    rate_hz=16000,
    hop_samples=160,
    fft_samples=1024,
    window_samples=1024,
    bins=128,
    low_hz=0.0,
    high_hz=8000.0,
    log_base="e",
)
BINS = 360
CHANNELS, LAYERS, KERNEL, GROUPS = 512, 6, 31, 4
FRONT_HALO = 1  # frames that `front` reads to each side
HALO_FRAMES = 1 + LAYERS * (KERNEL // 2)  # the same for `back`


class GatedLayer(nn.Module):
    """x + W2 silu(depthwise(glu(W1 norm(x)))), [B, T, C] -> [B, T, C]."""

    def __init__(self):
        super().__init__()
        inner = 2 * CHANNELS
        self.norm = nn.LayerNorm(CHANNELS)
        self.widen = nn.Linear(CHANNELS, 2 * inner)
        self.depthwise = nn.Conv1d(inner, inner, KERNEL, padding=KERNEL // 2, groups=inner)
        self.narrow = nn.Linear(inner, CHANNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.glu(self.widen(self.norm(x)), dim=-1)
        return x + self.narrow(F.silu(self.depthwise(y.transpose(1, 2))).transpose(1, 2))


class Fcpe(nn.Module):
    """mel [B, T, 128] by ``MEL`` -> salience [B, T, 360]; ``cents`` [360] of the bins, above 10 Hz."""

    def __init__(self):
        super().__init__()
        self.register_buffer("cents", torch.zeros(BINS))
        self.first = nn.Conv1d(MEL.bins, CHANNELS, 3, padding=1)
        self.group_norm = nn.GroupNorm(GROUPS, CHANNELS)
        self.second = nn.Conv1d(CHANNELS, CHANNELS, 3, padding=1)
        self.layers = nn.ModuleList(GatedLayer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(CHANNELS)
        self.head = nn.Linear(CHANNELS, BINS)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        x = self.front(mel)
        total, squares = self.sums(x)
        return self.back(x, *self.moments(total, squares, x.shape[1]))

    def front(self, mel: torch.Tensor) -> torch.Tensor:
        return self.first(mel.transpose(1, 2)).transpose(1, 2)

    @staticmethod
    def sums(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums of x [B, T, C] and of its squares over each group of channels, float64 [B, groups]."""
        x = x.double().unflatten(2, (GROUPS, -1))
        return x.sum((1, 3)), x.square().sum((1, 3))

    @staticmethod
    def moments(total: torch.Tensor, squares: torch.Tensor, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        count = frames * CHANNELS // GROUPS
        mean = total / count
        return mean, (squares / count - mean.square()).clamp(min=0)

    def back(self, x: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """The network from the group norm on, given mean and variance [B, groups]."""
        scale = torch.rsqrt(variance + self.group_norm.eps).to(x.dtype)[:, None, :, None]
        x = ((x.unflatten(2, (GROUPS, -1)) - mean.to(x.dtype)[:, None, :, None]) * scale).flatten(2)
        x = F.leaky_relu(x * self.group_norm.weight + self.group_norm.bias, 0.01)
        x = self.second(x.transpose(1, 2)).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        return torch.sigmoid(self.head(self.norm(x)))
