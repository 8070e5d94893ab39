"""RMVPE: log-mel -> salience of 360 pitches by a U-Net and a bidirectional GRU (Wei et al. 2023, 2306.15412).

The network of the released `rmvpe.pt` (yxlllc/RMVPE `E2E0`, RVC `E2E(4, 1, (2, 2))`), whose names it keeps. Bins are
CREPE's. :meth:`Rmvpe.hidden` looks ``HALO_FRAMES`` far, the GRU at everything.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from fastsvc.model.crepe import BINS, FrozenNorm

RATE_HZ, HOP, WINDOW, MEL_BINS = 16000, 160, 1024, 128
LOW_HZ, HIGH_HZ, FLOOR = 30.0, 8000.0, 1e-5
LEVELS, BLOCKS, MIDDLE_LAYERS, FIRST_CHANNELS, GRU_CHANNELS = 5, 4, 4, 16, 256
MULTIPLE = 2**LEVELS  # the number of frames must be one of these
# Two convolutions of kernel 3 a block: 8 frames at every level down and up, 32 of 32 frames in the middle; the
# transposed convolutions one frame of the coarser level, the output one, and pooling may shift all by a multiple.
HALO_FRAMES = 2 * 8 * (MULTIPLE - 1) + 2 * (MULTIPLE - 1) + 32 * MULTIPLE + 1 + MULTIPLE
HALO_FRAMES += -HALO_FRAMES % MULTIPLE


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, which is a 1×1 convolution where the channels change."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            FrozenNorm(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            FrozenNorm(after),
            nn.ReLU(),
        )
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) + self.shortcut(x)


def residuals(before: int, after: int) -> nn.ModuleList:
    return nn.ModuleList([ResidualBlock(before, after)] + [ResidualBlock(after, after) for _ in range(BLOCKS - 1)])


class DownBlock(nn.Module):
    """One level of the encoder, or of the middle: a chain of residual blocks."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.conv = residuals(before, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.conv:
            x = block(x)
        return x


class UpBlock(nn.Module):
    """Upsampling by two (a transposed convolution), concatenation with the encoder's output, residual blocks."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1, bias=False),
            FrozenNorm(after),
            nn.ReLU(),
        )
        self.conv2 = residuals(2 * after, after)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        x = torch.cat((self.conv1(x), skip), 1)
        for block in self.conv2:
            x = block(x)
        return x


class LayerList(nn.Module):
    """A list of layers under upstream's name; the encoder has a norm before it."""

    def __init__(self, layers, norm: bool = False):
        super().__init__()
        if norm:
            self.bn = FrozenNorm(1)
        self.layers = nn.ModuleList(layers)


class UNet(nn.Module):
    """[B, 1, T, 128] -> [B, 16, T, 128], T a multiple of 32."""

    def __init__(self):
        super().__init__()
        sizes = [FIRST_CHANNELS * 2**i for i in range(LEVELS + 1)]  # 16 … 512
        self.encoder = LayerList([DownBlock(a, b) for a, b in zip([1, *sizes], sizes[:-1])], norm=True)
        self.intermediate = LayerList(
            [DownBlock(sizes[-2] if i == 0 else sizes[-1], sizes[-1]) for i in range(MIDDLE_LAYERS)]
        )
        self.decoder = LayerList([UpBlock(b, a) for a, b in reversed(list(itertools.pairwise(sizes)))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, skips = self.encoder.bn(x), []
        for layer in self.encoder.layers:
            x = layer(x)
            skips.append(x)
            x = nn.functional.avg_pool2d(x, 2)
        for layer in self.intermediate.layers:
            x = layer(x)
        for layer in self.decoder.layers:
            x = layer(x, skips.pop())
        return x


class BiGru(nn.Module):
    def __init__(self, inputs: int, channels: int):
        super().__init__()
        self.gru = nn.GRU(inputs, channels, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gru(x)[0]


class Rmvpe(nn.Module):
    """mel [B, T, 128] (natural log, centred on sample t·160), T a multiple of 32 -> salience [B, T, 360]."""

    def __init__(self):
        super().__init__()
        self.unet = UNet()
        self.cnn = nn.Conv2d(FIRST_CHANNELS, 3, 3, padding=1)
        self.fc = nn.Sequential(
            BiGru(3 * MEL_BINS, GRU_CHANNELS), nn.Linear(2 * GRU_CHANNELS, BINS), nn.Identity(), nn.Sigmoid()
        )

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.fc(self.hidden(mel))

    def hidden(self, mel: torch.Tensor) -> torch.Tensor:
        """The GRU's input, [B, T, 384]."""
        return self.cnn(self.unet(mel[:, None])).transpose(1, 2).flatten(2)

    def directions(self) -> tuple[nn.GRU, nn.GRU]:
        """The GRU as two unidirectional ones on the same parameters, which can run exactly over blocks."""
        both, halves = self.fc[0].gru, []
        for suffix in ("", "_reverse"):
            with torch.device("meta"):
                half = nn.GRU(3 * MEL_BINS, GRU_CHANNELS, batch_first=True)
            for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
                setattr(half, name, getattr(both, name + suffix))
            halves.append(half)
        return tuple(halves)

    def head(self, x: torch.Tensor) -> torch.Tensor:
        """The GRU's output of both directions [B, T, 512] -> salience."""
        return torch.sigmoid(self.fc[1](x))
