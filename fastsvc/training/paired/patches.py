"""Discriminators of log-mels: convolutions over time and bins, with a score for each patch.

A denoiser of one step draws the mean of what fits its conditions, too smooth in time and over its bins. These judges
see only small patches of a mel, as those of pix2pix (arXiv 1611.07004 §3.2) do of a picture, at two steps of time.
Where a model has several singers, a patch's score depends on the singer (a projection, arXiv 1802.05637).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

SLOPE = 0.2
KERNEL = (3, 5)  # frames, bins
Judgement = tuple[list[Tensor], list[Tensor]]  # scores [B, T', M'] of each judge; activations of all layers


class PatchDiscriminator(nn.Module):
    """mel [B, T, M], singer [B] → (scores [B, T', M'], activations)."""

    def __init__(self, strides: tuple[tuple[int, int], ...], singers: int, channels: int):
        """``strides``: of each layer, in frames and bins."""
        super().__init__()
        widths = [1, channels, *[2 * channels] * (len(strides) - 1)]
        padding = (KERNEL[0] // 2, KERNEL[1] // 2)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, KERNEL, stride, padding)) for a, b, stride in zip(widths, widths[1:], strides)
        )
        self.score = weight_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))
        self.singers = nn.Embedding(singers, widths[-1]) if singers > 1 else None
        if self.singers is not None:
            nn.init.zeros_(self.singers.weight)

    def forward(self, mel: Tensor, singer: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, activations = mel[:, None], []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            activations.append(x)
        score = self.score(x)[:, 0]
        if self.singers is not None:
            score = score + torch.einsum("bctm,bc->btm", x, self.singers(singer))
        return score, activations


class Patches(nn.Module):
    """Two judges: one of fine patches of about 9 frames, one of patches of about 30."""

    STRIDES = (((1, 2), (1, 2), (1, 2), (1, 1)), ((2, 2), (2, 2), (2, 2), (1, 1)))

    def __init__(self, singers: int, channels: int = 32):
        super().__init__()
        self.judges = nn.ModuleList(PatchDiscriminator(strides, singers, channels) for strides in self.STRIDES)

    def tables(self) -> dict[str, int]:
        """Parameters with a row for each singer, as the tasks' ``singer_rows`` want them."""
        return {f"judges.{i}.singers.weight": 1 for i, judge in enumerate(self.judges) if judge.singers is not None}

    def forward(self, mel: Tensor, singer: Tensor) -> Judgement:
        judgements = [judge(mel, singer) for judge in self.judges]
        return [score for score, _ in judgements], [layer for _, layers in judgements for layer in layers]


def mean(scores: list[Tensor]) -> Tensor:
    """The mean of all patches, every judge counting alike."""
    return torch.stack([score.mean() for score in scores]).mean()


def judge_loss(real: list[Tensor], made: list[Tensor]) -> Tensor:
    """Least squares (arXiv 1611.04076): 1 for recordings, 0 for what the student makes."""
    return mean([(1 - score).square() for score in real]) + mean([score.square() for score in made])


def student_loss(made: list[Tensor]) -> Tensor:
    return mean([(1 - score).square() for score in made])


def feature_distance(real: list[Tensor], made: list[Tensor]) -> Tensor:
    """Mean distance of activations, as in HiFi-GAN (arXiv 2010.05646, eq. 5), each as a share of its own size."""
    sizes = [layer.abs().mean().clamp(min=1e-6) for layer in real]
    return mean([(r - m).abs() / size for r, m, size in zip(real, made, sizes)])
