"""Convolutions over channels-last rows as matrix products, zeros beyond both ends."""

from __future__ import annotations

import torch
from torch import Tensor


def neighbours(x: Tensor, taps: int) -> Tensor:
    """[T, C] → [T, taps·C]: row t is x[t − δ], …, x[t + δ] side by side, δ = taps // 2."""
    frames, channels = x.shape
    reach = taps // 2
    padded = x.new_empty(frames + 2 * reach, channels)
    padded[:reach].zero_()
    padded[reach : reach + frames] = x
    padded[reach + frames :].zero_()
    return padded.as_strided((frames, taps * channels), (channels, 1))


def gathered(parts: Tensor, bias: Tensor, taps: int) -> Tensor:
    """[T, taps·C] → [T, C]: bias + Σ_k parts[t + k − δ, k], the contributions of neighbouring rows to row t."""
    channels, reach = len(bias), taps // 2
    frames = len(parts)
    middle = parts[:, reach * channels : (reach + 1) * channels]
    out = torch.add(middle, bias)
    for tap in range(taps):
        shift = tap - reach
        part = parts[:, tap * channels : (tap + 1) * channels]
        if shift < 0:
            out[-shift:] += part[:shift]
        elif 0 < shift < frames:
            out[:-shift] += part[shift:]
    return out
