"""Change of sample rate with a short filter: range in, range out, for live conversion.

soxr's filters reach 36 to 39 ms to each side. This one is a windowed sinc (Kaiser) that reaches at most REACH_S, so its
transition is wider: with 2 ms about 1.1 kHz between what passes and what is stopped by STOP_DB. Up to PASS of the lower
half-rate the answer is flat, where 2 ms allow it. Where the transition is wider than what is left below the half-rate,
what aliases lands above the pass band.

An output sample is a weighted sum over the same input samples, however the ranges are cut.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

REACH_S = 0.002  # to each side, at most
STOP_DB = 74.0
PASS = 0.9  # of the lower half-rate
MOST_TAPS = 1 << 20  # of a matrix for one product; odd pairs of rates have more and are computed sample by sample


class ShortResampler:
    """``from_hz`` → ``to_hz``: output sample n lies at the time of input position n · from_hz / to_hz."""

    def __init__(self, from_hz: int, to_hz: int):
        divisor = math.gcd(from_hz, to_hz)
        self.from_hz, self.to_hz = from_hz, to_hz
        self.up, self.down = to_hz // divisor, from_hz // divisor
        self.taps = _taps(from_hz, to_hz)  # [up, reach + 1 + reach]
        self.reach = self.taps.shape[1] // 2  # input samples
        self.bank = _bank(from_hz, to_hz)

    @property
    def reach_s(self) -> float:
        """How far a sample of the output looks ahead."""
        return self.reach / self.from_hz

    def needs(self, first: int, last: int) -> tuple[int, int]:
        """The input samples [start, end) that the output samples first … last − 1 are made of; last > first."""
        return first * self.down // self.up - self.reach, (last - 1) * self.down // self.up + self.reach + 1

    def final(self, samples: int) -> int:
        """How many output samples, from 0 on, need none of the input beyond its first ``samples``."""
        return max(0, ((samples - self.reach) * self.up - 1) // self.down + 1)

    def __call__(self, audio: Tensor, first: int, last: int) -> Tensor:
        """``audio``: exactly the samples of :meth:`needs`, float32 → output samples first … last − 1."""
        if self.up == self.down:
            return audio.clone()
        if self.bank is None:
            places = torch.arange(first, last) * self.down
            rows = audio.unfold(0, self.taps.shape[1], 1)[places // self.up - first * self.down // self.up]
            return torch.einsum("nk,nk->n", rows, self.taps[places % self.up])
        begin, end = first // self.up, -(-last // self.up)  # groups of ``up`` outputs, ``down`` inputs apart
        before = first * self.down // self.up - begin * self.down
        samples = (end - begin - 1) * self.down + self.bank.shape[0]
        audio = torch.nn.functional.pad(audio, (before, max(0, samples - before - len(audio))))
        groups = audio.unfold(0, self.bank.shape[0], self.down)[: end - begin] @ self.bank
        return groups.flatten()[first - begin * self.up :][: last - first]


@functools.lru_cache(maxsize=16)
def _bank(from_hz: int, to_hz: int) -> Tensor | None:
    """[inputs, up]: the filters of ``up`` successive outputs as one matrix; None where it would be too large."""
    taps = _taps(from_hz, to_hz)
    up, down = len(taps), from_hz // math.gcd(from_hz, to_hz)
    shifts = torch.arange(up) * down // up
    width = int(shifts[-1]) + taps.shape[1]
    if up * width > MOST_TAPS:
        return None
    with torch.inference_mode(False):
        bank = torch.zeros(width, up)
        for i, shift in enumerate(shifts.tolist()):
            bank[shift : shift + taps.shape[1], i] = taps[i * down % up]
    return bank


@functools.lru_cache(maxsize=16)
def _taps(from_hz: int, to_hz: int) -> Tensor:
    """[up, 2 · reach + 1] float32; row p: the filter for outputs that lie p / up past an input sample."""
    divisor = math.gcd(from_hz, to_hz)
    up = to_hz // divisor
    if from_hz == to_hz:
        return torch.ones(1, 1)
    half_rate = min(from_hz, to_hz) / 2
    # Kaiser's formulas: a window of 2 · reach_s has a transition of this width
    beta, widths = 0.1102 * (STOP_DB - 8.7), (STOP_DB - 7.95) / (2 * math.pi * 2.285)
    reach_s = min(REACH_S, widths / ((1 - PASS) * half_rate) / 2)
    reach = math.floor(reach_s * from_hz)
    transition_hz = widths / (2 * reach_s)
    cut_hz = PASS * half_rate + transition_hz / 2
    seconds = (np.arange(-reach, reach + 1) - np.arange(up)[:, None] / up) / from_hz
    inside = np.clip(1 - np.square(seconds / (reach_s + 0.5 / from_hz)), 0, None)
    taps = np.sinc(2 * cut_hz * seconds) * np.i0(beta * np.sqrt(inside)) * (np.abs(seconds) <= reach_s)
    taps /= taps.sum(axis=1, keepdims=True)  # each row passes a constant unchanged
    with torch.inference_mode(False):
        return torch.from_numpy(taps.astype(np.float32))
