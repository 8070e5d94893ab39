"""Singer verifier: log-mel -> frames -> statistics over time -> an embedding of unit length.

Two architectures: "tdnn", residual time-delay layers with attentive statistics (after ECAPA-TDNN, Desplanques
et al. 2020, much smaller), and "conv2d", residual 2-D convolutions with mean and deviation over time, which
serves as the held-out judge in evaluation.

:class:`AngularMargin` is the classifier that trains either: additive angular margin softmax (ArcFace, Deng et
al. 2019). Two voices are compared by the cosine of their embeddings.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from fastsvc.config import VerifierConfig


def normalise(mel: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Subtract each recording's mean over time and bins (its level), but not the mean of each bin (its timbre)."""
    if mask is None:
        return (mel - mel.mean((1, 2), keepdim=True)) / 1.5
    mean = (mel * mask).sum((1, 2), keepdim=True) / (mask.sum((1, 2), keepdim=True) * mel.shape[2]).clamp(min=1)
    return (mel - mean) * mask / 1.5


class TdnnBlock(nn.Module):
    """x + W(gelu(dilated convolution(norm(x)))); [B, T, C] -> [B, T, C]."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.out = nn.Linear(channels, channels)

    def forward(self, x, mask):
        y = self.norm(x) if mask is None else self.norm(x) * mask
        y = self.conv(y.transpose(1, 2)).transpose(1, 2)
        return x + 0.5 * self.out(F.gelu(y))


class TdnnTrunk(nn.Module):
    """[B, T, M] -> [B, 2C]: mean and deviation over time, weighted per channel by attention."""

    def __init__(self, config: VerifierConfig):
        super().__init__()
        width = config.channels
        self.stem = nn.Conv1d(config.mel.bins, width, 5, padding=2)
        self.blocks = nn.ModuleList(TdnnBlock(width, 1 + i) for i in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.attention = nn.Sequential(nn.Linear(width, 64), nn.Tanh(), nn.Linear(64, width))
        self.channels = 2 * width

    def forward(self, x, mask):
        x = self.stem(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        score = self.attention(x).float()
        if mask is not None:
            score = score.masked_fill(mask == 0, -1e9)
        return _mean_and_deviation(x.float(), torch.softmax(score, dim=1))


class Conv2dTrunk(nn.Module):
    """[B, T, M] -> [B, C * M/16 * 2]: four stages of residual 2-D convolutions, each halving time and bins."""

    def __init__(self, config: VerifierConfig):
        super().__init__()
        widths = [max(8, config.channels >> i) for i in (3, 2, 1, 1)]
        self.down, self.same = nn.ModuleList(), nn.ModuleList()
        before, bins = 1, config.mel.bins
        for width in widths:
            self.down.append(nn.Conv2d(before, width, 3, stride=2, padding=1))
            self.same.append(nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(config.layers // 2)))
            before, bins = width, (bins + 1) // 2
        self.channels = 2 * before * bins

    def forward(self, x, mask):
        x = x.unsqueeze(1)
        for down, same in zip(self.down, self.same):
            mask = None if mask is None else mask[:, ::2]
            outside = 1.0 if mask is None else mask.unsqueeze(1)
            x = F.relu(_instance_scale(down(x))) * outside
            for conv in same:
                x = (x + 0.5 * F.relu(conv(x))) * outside
        x = x.permute(0, 2, 1, 3).flatten(2).float()
        weight = torch.ones_like(x[..., :1]) if mask is None else mask
        return _mean_and_deviation(x, weight / weight.sum(1, keepdim=True).clamp(min=1e-9))


def _instance_scale(x: torch.Tensor) -> torch.Tensor:
    """Channels of one frame and bin scaled to unit power: a norm without statistics over time or batch."""
    return x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + 1e-4).to(x.dtype)


def _mean_and_deviation(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    mean = (weight * x).sum(1)
    variance = (weight * (x - mean.unsqueeze(1)).square()).sum(1)
    return torch.cat([mean, (variance + 1e-6).sqrt()], dim=-1)


TRUNKS = {"tdnn": TdnnTrunk, "conv2d": Conv2dTrunk}


class Verifier(nn.Module):
    """mel [B, T, M] (as :func:`fastsvc.audio.mel.log_mel` with ``config.mel``) -> embedding [B, E] of length 1.

    ``valid`` [B, T] marks the frames that count; padding then changes nothing.
    """

    def __init__(self, config: VerifierConfig):
        super().__init__()
        self.config = config
        self.trunk = TRUNKS[config.architecture](config)
        self.norm = nn.LayerNorm(self.trunk.channels)
        self.embed = nn.Linear(self.trunk.channels, config.embedding)

    def forward(self, mel: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
        mask = None if valid is None else valid.unsqueeze(-1).to(mel.dtype)
        pooled = self.trunk(normalise(mel, mask), mask)
        with torch.autocast(mel.device.type, enabled=False):
            return F.normalize(self.embed(self.norm(pooled.float())), dim=-1)


class AngularMargin(nn.Module):
    """(embeddings [B, E], class ids [B]) -> loss: cross-entropy of s*cos(angle + margin) for the true class."""

    def __init__(self, embedding: int, classes: int, margin: float = 0.2, scale: float = 30.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, embedding))
        self.margin, self.scale = margin, scale

    def cosines(self, embedding: torch.Tensor) -> torch.Tensor:
        """Cosines [B, classes] to the class centres; no margin."""
        return embedding @ F.normalize(self.weight, dim=-1).T

    def forward(self, embedding: torch.Tensor, target: torch.Tensor, margin: float | None = None) -> torch.Tensor:
        margin = self.margin if margin is None else margin
        cosine = self.cosines(embedding).clamp(-1 + 1e-6, 1 - 1e-6)
        true = cosine.gather(1, target.unsqueeze(1))
        # beyond pi - margin, cos(angle + margin) would rise again: continue it linearly
        moved = true * math.cos(margin) - (1 - true.square()).sqrt() * math.sin(margin)
        moved = torch.where(true > -math.cos(margin), moved, true - margin * math.sin(margin))
        return F.cross_entropy(self.scale * cosine.scatter(1, target.unsqueeze(1), moved), target)
