"""Salience of pitch bins -> pitch: the best bin of each frame or of the whole path, refined by its neighbours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

REACH = 4  # bins to each side of the chosen one that share in the average
BAND = 12  # CREPE's Viterbi: bins between neighbouring frames that have probability zero


def within(salience: Tensor, cents: Tensor, low_hz: float, high_hz: float) -> Tensor:
    """salience [T, bins] with zero in the bins outside the range; ``cents`` [bins] are above 10 Hz, float64."""
    hz = 10 * 2 ** (cents / 1200)
    return torch.where((hz >= low_hz) & (hz <= high_hz), salience, 0)


def local_average(salience: Tensor, choice: Tensor, cents: Tensor) -> Tensor:
    """f0 [T] in Hz: the mean of the bins around ``choice`` [T], weighted with their salience (all three networks)."""
    index = choice[:, None] + torch.arange(-REACH, REACH + 1, device=choice.device)
    inside = (index >= 0) & (index < salience.shape[1])
    index = index.clamp(0, salience.shape[1] - 1)
    weight = salience.gather(1, index).double() * inside
    total = weight.sum(1)
    mean = (weight * cents[index]).sum(1) / torch.where(total > 0, total, 1)
    return torch.where(total > 0, 10 * 2 ** (mean / 1200), 0)


def best_bins(salience: np.ndarray, low_bin: int, high_bin: int) -> np.ndarray:
    """The path [T] through bins low_bin … high_bin - 1 that torchcrepe's Viterbi decoder takes.

    Its observations are the softmax over bins of the salience, whose sum does not depend on the bin chosen: the
    logarithm is the salience itself. Steps of d bins are as likely as 12 - d, and impossible from 12 on.
    """
    salience = salience[:, low_bin:high_bin]
    length, bins = salience.shape
    # The range cuts bins off, not the transitions' normalisation, which runs over all of them.
    range_bins = np.arange(low_bin, high_bin)
    steps = np.arange(1 - BAND, BAND)
    weight = (BAND - np.abs(steps)).astype(np.float64)
    all_bins = max(high_bin, 360)
    row = np.array([weight[(b + steps >= 0) & (b + steps < all_bins)].sum() for b in range_bins])
    came_from = np.empty((length, bins), dtype=np.int8)
    total = salience[0].astype(np.float64)
    padded = np.full(bins + 2 * (BAND - 1), -np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * BAND - 1)
    log_weight, log_row = np.log(weight), np.log(row)
    for t in range(1, length):
        padded[BAND - 1 : BAND - 1 + bins] = total - log_row
        reached = windows + log_weight  # [to, from]; `from` runs over to - 11 … to + 11
        came_from[t] = reached.argmax(1)
        total = reached[np.arange(bins), came_from[t]] + salience[t]
    path = np.empty(length, dtype=np.int64)
    path[-1] = total.argmax()
    for t in range(length - 1, 0, -1):
        path[t - 1] = path[t] + came_from[t, path[t]] - (BAND - 1)
    return path + low_bin
