"""Weights of a convolution that reads into both directions, as a start for one whose future is short."""

from __future__ import annotations

import torch
from torch import Tensor


def moved(weight: Tensor, dilation: int, ahead: int) -> Tensor:
    """weight [O, I, K], centred on the row of its output → the same for a convolution that reads ``ahead`` rows of the
    future: each tap goes where its row is read now, or to the nearest such row, as if rows beyond were repeated."""
    late = weight.shape[2] // 2 * dilation - ahead
    places = [min(tap + round(late / dilation), weight.shape[2] - 1) for tap in range(weight.shape[2])]
    result = torch.zeros_like(weight)
    for tap, place in enumerate(places):
        result[:, :, place] += weight[:, :, tap]
    return result
