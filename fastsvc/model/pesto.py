"""PESTO: constant-Q magnitudes -> probabilities of 384 pitches, frame by frame (Riou et al. 2023, 2309.02265).

The network of the weights mir-1k_g7 in the package pesto-pitch, which were trained on singing. It was written from the
paper and from the weights' names and shapes. Every convolution runs over frequency, so no frame reads another.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import nn

RATE_HZ, HOP = 16000, 160
PER_SEMITONE = 3
FIRST_HZ = 27.5 / 2 ** (1 / 36)  # of the spectrum's first bin: A0 is the middle of its three bins
BINS, MARGIN = 251, 16  # of the spectrum; the network's encoder reads all but MARGIN of them at both ends
GAMMA = 7.0  # Hz that every bin is wider than of constant Q, which shortens the lowest windows
LEAST = 1.1920928955078125e-07  # magnitude
PITCHES = 128 * PER_SEMITONE  # thirds of a semitone, from MIDI note 0 on
CHANNELS, LAYERS, KERNEL = (40, 30, 30, 10, 3), 3, 39
LEAK = 0.3
READ = BINS - 2 * MARGIN


def _convolution(before: int, after: int, kernel: int) -> nn.Conv1d:
    return nn.Conv1d(before, after, kernel, padding=kernel // 2)


def flatness(power: torch.Tensor) -> torch.Tensor:
    """[N, BINS] -> geometric by arithmetic mean [N]: 0.57 for white noise, 0.002 for a sung note."""
    return power.log().mean(1).exp() / power.mean(1).clamp(min=1e-8)


class Encoder(nn.Module):
    """Decibels [N, READ] -> probabilities [N, PITCHES], not yet moved to their absolute pitch."""

    def __init__(self):
        super().__init__()
        self.layernorm = nn.LayerNorm([1, READ])
        self.conv1 = nn.Sequential(_convolution(1, CHANNELS[0], KERNEL))
        wide = CHANNELS[0], CHANNELS[0], KERNEL
        self.prefilt_layers = nn.ModuleList(nn.Sequential(_convolution(*wide)) for _ in range(LAYERS - 1))
        pairs = itertools.pairwise(CHANNELS)
        self.conv_layers = nn.ModuleDict({str(3 * i): _convolution(*pair, 1) for i, pair in enumerate(pairs)})
        self.fc = nn.Conv1d(1, 1, READ * CHANNELS[-1] + PITCHES - 1, bias=False)

    def forward(self, decibels: torch.Tensor) -> torch.Tensor:
        x = F.leaky_relu(self.conv1(self.layernorm(decibels[:, None])), LEAK)
        for layer in self.prefilt_layers:
            x = x + F.leaky_relu(layer(x), LEAK)
        for layer in self.conv_layers.values():
            x = F.leaky_relu(layer(x), LEAK)
        return torch.softmax(x.flatten(1) @ self.toeplitz(), 1)

    def toeplitz(self) -> torch.Tensor:
        """The last layer as a matrix [READ · channels, PITCHES]: a pitch moves with its spectrum, the weights stay."""
        rows = torch.arange(READ * CHANNELS[-1], device=self.fc.weight.device)[:, None]
        return self.fc.weight[0, 0][rows - torch.arange(PITCHES, device=rows.device) + PITCHES - 1]


class Confidence(nn.Module):
    """Power [N, BINS] -> [N] in (0, 1): how sure it is that the frame is voiced."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 39, stride=3)
        self.linear = nn.Linear((BINS - 39) // 3 + 2, 1)

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv(power[:, None])[:, 0])
        return torch.sigmoid(self.linear(torch.cat((x, flatness(power)[:, None]), 1)))[:, 0]


class Pesto(nn.Module):
    """Magnitudes [N, BINS] -> probabilities [N, PITCHES] and confidence [N].

    Probability i is that of MIDI note i / PER_SEMITONE. Training knows intervals alone; ``shift``, in semitones, was
    found afterwards.
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("shift", torch.zeros(()))
        self.encoder, self.confidence = Encoder(), Confidence()

    def forward(self, magnitudes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.pitches(magnitudes), self.voicing(magnitudes)

    def pitches(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """The level has no influence."""
        decibels = 20 * magnitudes[:, MARGIN:-MARGIN].clamp(min=LEAST).log10()
        return self.encoder(decibels).roll(-round(float(self.shift) * PER_SEMITONE), 1)

    def voicing(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """The level has influence: it takes soft frames for unvoiced."""
        return self.confidence(magnitudes.clamp(min=LEAST).square())
