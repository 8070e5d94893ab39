"""Two small families of discriminators for the vocoder's adversarial phase.

Multi-period (HiFi-GAN, arXiv 2010.05646 §2.3): the waveform is folded by prime periods, and convolutions run along
each column. Multi-resolution spectra (UnivNet, arXiv 2106.07889 §2.3): convolutions over magnitudes at several windows.
A quarter of the papers' channels and fewer layers, for training on a CPU.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from fastsvc.training.losses import magnitude

SLOPE = 0.1
Judgement = tuple[list[torch.Tensor], list[list[torch.Tensor]]]


class PeriodDiscriminator(nn.Module):
    """audio [B, S] -> (score, activations); a period's columns become items of the batch."""

    def __init__(self, period: int, channels: tuple[int, ...] = (16, 32, 64, 128)):
        super().__init__()
        self.period = period
        widths = (1, *channels)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv1d(a, b, 5, stride=3, padding=2)) for a, b in itertools.pairwise(widths)
        )
        self.post = weight_norm(nn.Conv1d(channels[-1], 1, 3, padding=1))

    def forward(self, audio: torch.Tensor):
        batch, samples = audio.shape
        audio = F.pad(audio, (0, -samples % self.period))
        x = audio.view(batch, -1, self.period).transpose(1, 2).reshape(batch * self.period, 1, -1)
        layers = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            layers.append(x)
        return self.post(x), layers


class SpectrumDiscriminator(nn.Module):
    """audio [B, S] -> (score, activations) from log-magnitudes [B, 1, F, T] at one resolution."""

    def __init__(self, size: int, channels: int = 16):
        super().__init__()
        self.size = size
        shapes = [
            (1, (9, 3), (4, 1)),
            (channels, (9, 3), (2, 1)),
            (channels, (9, 3), (2, 1)),
            (channels, (3, 3), (1, 1)),
        ]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(a, channels, kernel, stride, padding=(kernel[0] // 2, kernel[1] // 2)))
            for a, kernel, stride in shapes
        )
        self.post = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, audio: torch.Tensor):
        x = magnitude(audio, self.size, self.size // 4).unsqueeze(1)
        x = torch.log10(x + 1e-3)
        layers = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            layers.append(x)
        return self.post(x), layers


class Discriminators(nn.Module):
    """All of them: audio [B, S] -> (scores, activations by discriminator and layer)."""

    def __init__(self, periods: tuple[int, ...] = (2, 3, 5, 7, 11), sizes: tuple[int, ...] = (1024, 256)):
        super().__init__()
        self.judges = nn.ModuleList(
            [*(PeriodDiscriminator(p) for p in periods), *(SpectrumDiscriminator(s) for s in sizes)]
        )

    def forward(self, audio: torch.Tensor) -> Judgement:
        scores, layers = zip(*(judge(audio) for judge in self.judges))
        return list(scores), list(layers)
