"""Change of sample rate as matrix products, for GPUs: soxr's filter (HQ) in plain PyTorch, on any device.

soxr is a program of the CPU. Its HQ filter is a Kaiser window's, with 21 bits of attenuation between PASS of the lower
half-rate and that half-rate itself, so a windowed sinc of the same numbers has the same response: both are measured in
tests/test_polyphase.py, and docs/performance.md has the figures.

An output sample is a weighted sum of some hundred inputs around it. ``group`` outputs at once are one row of a matrix
product, whose rows lie ``step`` inputs apart and overlap:

    out[row · group + i] = Σ_k in[row · step + k − reach] · bank[k, i]

One copy and one product do a whole recording: a library's product, because a kernel of our own could save only some
microseconds (docs/performance.md), and not cuDNN's convolution, which rounds to TF32 unless that is forbidden.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastsvc import environment
from fastsvc.audio.resample import resampled_length

VARIABLE = "FASTSVC_RESAMPLE"  # where a GPU's engine resamples: on the device, or by soxr on the processor
PASS = 0.9132  # of the lower half-rate: soxr's pass band ends here, and its stop band begins at 1
STOP_DB = 21 * 20 * math.log10(2)  # soxr designs for a bit more than HQ's 20
LEAST_GROUP = 64  # outputs of one row: fewer would leave most of a product's columns unused
MOST_BANK = (
    1 << 20
)  # floats (4 MB) of one pair of rates; pairs that would need more, such as 44100 and 24001, have none
MOST_COPIED = 1 << 24  # floats (64 MB) of the overlapping rows of one product


def on_device() -> bool:
    """Whether $FASTSVC_RESAMPLE, by default "device", names the device. Raises ConfigError for another word."""
    return environment.word(VARIABLE) == "device"


@dataclass(frozen=True)
class Polyphase:
    """The filter for one pair of rates: a matrix, and where its rows begin."""

    from_hz: int
    to_hz: int
    reach: int  # input samples before an output's own
    step: int  # input samples from row to row
    bank: Tensor  # [inputs of a row, group], float32

    @property
    def group(self) -> int:
        """Output samples of a row."""
        return self.bank.shape[1]

    def padded(self, outputs: int) -> int:
        """Input samples that ``outputs`` are made of, with the ``reach`` before the first one."""
        return (max(1, -(-outputs // self.group)) - 1) * self.step + len(self.bank)

    def over(self, padded: Tensor, outputs: int) -> Tensor:
        """padded [samples], ``reach`` samples before the first one and :meth:`padded` in all → [outputs].

        Rows are made in blocks, from the samples that each needs, so memory is bounded and a cut changes nothing.
        """
        rows = -(-outputs // self.group)
        out = padded.new_empty(rows, self.group)
        block = max(1, MOST_COPIED // len(self.bank))
        for first in range(0, rows, block):
            count = min(block, rows - first)
            begin = padded.storage_offset() + first * self.step
            torch.mm(
                padded.as_strided((count, len(self.bank)), (self.step, 1), begin), self.bank, out=out[first:][:count]
            )
        return out.flatten()[:outputs]


def resampled(audio: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """float32 [..., samples] → [..., resampled_length], on its device; silence is assumed beyond both ends.

    Raises ValueError for a pair of rates that has no :func:`polyphase`.
    """
    length = resampled_length(audio.shape[-1], from_hz, to_hz)
    if from_hz == to_hz:
        return audio.clone()
    if audio.numel() == 0 or length == 0:
        return audio.new_zeros(*audio.shape[:-1], length)
    poly = polyphase(from_hz, to_hz, audio.device)
    if poly is None:
        raise ValueError(f"resampled: the filter from {from_hz} to {to_hz} Hz would be too large")
    width = max(poly.padded(length), poly.reach + audio.shape[-1])
    padded = torch.nn.functional.pad(audio, (poly.reach, width - poly.reach - audio.shape[-1]))
    rows = [poly.over(row, length) for row in padded.reshape(-1, width)]
    return torch.stack(rows).view(*audio.shape[:-1], length)


def possible(from_hz: int, to_hz: int, device: torch.device | str = "cpu") -> bool:
    """Whether :func:`resampled` knows this pair of rates."""
    return from_hz == to_hz or polyphase(from_hz, to_hz, device) is not None


@functools.lru_cache(maxsize=16)
def polyphase(from_hz: int, to_hz: int, device: torch.device | str = "cpu") -> Polyphase | None:
    """The filter between two rates; None where its matrix would be larger than :data:`MOST_BANK`."""
    divisor = math.gcd(from_hz, to_hz)
    up, down, reach = to_hz // divisor, from_hz // divisor, _reach(from_hz, to_hz)
    groups = max(1, LEAST_GROUP // up)
    group, step = groups * up, groups * down
    shifts = np.arange(group) * down // up
    width = int(shifts[-1]) + 2 * reach + 1
    if group * width > MOST_BANK:
        return None
    taps = prototype(from_hz, to_hz)  # [up, 2 · reach + 1]
    bank = np.zeros((width, group), np.float32)
    for i, shift in enumerate(shifts.tolist()):
        bank[shift : shift + taps.shape[1], i] = taps[i * down % up]
    with torch.inference_mode(False):
        return Polyphase(from_hz, to_hz, reach, step, torch.from_numpy(bank).to(device))


def _reach(from_hz: int, to_hz: int) -> int:
    return math.floor(_reach_s(from_hz, to_hz) * from_hz)


def _reach_s(from_hz: int, to_hz: int) -> float:
    """Kaiser's formula for the window's length, half of it: 3.96 ms where the lower rate is 24 kHz."""
    transition_hz = (1 - PASS) * min(from_hz, to_hz) / 2
    return (STOP_DB - 7.95) / (2 * math.pi * 2.285) / transition_hz / 2


def prototype(from_hz: int, to_hz: int) -> np.ndarray:
    """[up, 2 · reach + 1] float64; row p: the weights for outputs that lie p / up past an input sample, of sum 1."""
    up = to_hz // math.gcd(from_hz, to_hz)
    reach, reach_s = _reach(from_hz, to_hz), _reach_s(from_hz, to_hz)
    cut_hz = (1 + PASS) / 2 * min(from_hz, to_hz) / 2
    seconds = (np.arange(-reach, reach + 1) - np.arange(up)[:, None] / up) / from_hz
    inside = np.clip(1 - np.square(seconds / reach_s), 0, None)
    taps = (
        np.sinc(2 * cut_hz * seconds) * np.i0(0.1102 * (STOP_DB - 8.7) * np.sqrt(inside)) * (np.abs(seconds) <= reach_s)
    )
    return taps / taps.sum(axis=1, keepdims=True)
