"""The spectral energy distance: how far what a model draws is from what was recorded, its randomness included.

A. Gritsenko et al., "A spectral energy distance for parallel speech synthesis" (arXiv 2008.01160): of two independent
draws y, y' for one recording x, d(x, y) + d(x, y') − d(y, y'). Its mean is least when the draws are distributed as
recordings are. A plain distance d(x, y) is least for a compromise: noise too quiet, pulses where noise belongs (they
have no variance), and nothing short in time, as pulses never lie where the recording's do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsvc.training.losses import magnitude

SIZES = (2048, 1024, 512, 256, 128)
LINEAR = 0.5  # weight of magnitudes beside their logarithms
TOGETHER = 0.5  # weight of a frame's distance as one vector beside that of its bins


def energy_distance(real: Tensor, first: Tensor, second: Tensor, sizes: Sequence[int] = SIZES) -> tuple[Tensor, Tensor]:
    """real, first, second [B, S] → (spectral energy distance, plain distance of ``first``), means over the sizes."""
    total = plain = first.new_zeros((), dtype=torch.float32)
    for size in sizes:
        with torch.no_grad():
            wanted = _spectra(real, size)
        made, other = _spectra(first, size), _spectra(second, size)
        scale = wanted[0].mean((1, 2)).clamp(min=1e-3)
        one = _distance(wanted, made, scale)
        total = total + one + _distance(wanted, other, scale) - _distance(made, other, scale)
        plain = plain + one.detach()
    return total / len(sizes), plain / len(sizes)


def log_distance(real: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The same of logarithms [B, T, M], bin by bin."""
    return (real - first).abs().mean() + (real - second).abs().mean() - (first - second).abs().mean()


def levels(audio: Tensor, size: int = 1024) -> Tensor:
    """audio [B, S] → natural logarithms of the RMS of windows a quarter of ``size`` apart, [B, T, 1].

    Steady pulses make sharper lines than a voice does: at the same mean magnitude in every band they are louder.
    """
    frames = audio.float().unfold(1, size, size // 4)
    return 0.5 * torch.log(frames.square().mean(2, keepdim=True) + 1e-9)


def _spectra(audio: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Magnitudes [B, F, T] and their natural logarithms."""
    linear = magnitude(audio, size, size // 4)
    return linear, linear.log()


def _distance(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], scale: Tensor) -> Tensor:
    change = one[1] - other[1]
    linear = ((one[0] - other[0]).abs().mean((1, 2)) / scale).mean()
    together = (change.square().mean(1) + 1e-8).sqrt().mean()
    return change.abs().mean() + TOGETHER * together + LINEAR * linear
