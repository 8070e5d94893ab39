"""The filters and levels of fastsvc/audio as a GPU computes them: in fixed shapes, over a valid length in a tensor.

Nothing here waits for the device or depends on its values, so a graph of one shape serves every recording that fits it.
``count`` is the number of valid samples, a tensor without dimensions; what lies behind them is not read. Results differ
from those of audio/highpass.py, audio/envelope.py and features/hum.py in rounding alone (tests/test_device_front.py).
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from fastsvc.audio import envelope, highpass
from fastsvc.audio.highpass import SPAN
from fastsvc.features import hum


def continued(
    audio: Tensor, count: Tensor, before: int, total: int, ends: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """[total]: the samples from −``before`` on, continued past both ends as by :func:`highpass.continued`."""
    sample = torch.arange(-before, total - before, device=audio.device)
    image = torch.div(sample, count, rounding_mode="floor")
    turned = image % 2 == 1
    index = sample - image * count
    piece = audio[torch.where(turned, count - 1 - index, index)]
    if ends is None:
        return torch.where(turned, -piece, piece)
    return torch.where(turned, 2 * torch.where(sample < 0, *ends) - piece, piece)


def middle(end: Tensor, count: Tensor) -> Tensor:
    """As highpass._middle of the ``count`` first values of ``end``, at most all of them."""
    place, size = torch.arange(1, len(end) + 1, device=end.device), count.clamp_max(len(end))
    weights = 0.5 - 0.5 * torch.cos(2 * torch.pi * (place + size).double() / (2 * size + 1))
    weights = weights.masked_fill(place > size, 0)
    return ((end * weights).sum() / weights.sum()).float()


def lowered(audio: Tensor, factor: int, between: Tensor) -> Tensor:
    """[n · factor] → [n]: as highpass.lowered; ``between``: :func:`between_rates`."""
    if factor == 1:
        return audio
    steps = 2 * SPAN + 1
    parts = torch.nn.functional.pad(audio.view(-1, factor) @ between, (0, 0, SPAN, SPAN))
    return parts.as_strided((len(audio) // factor, steps), (steps, steps + 1)).sum(1)  # step s of row i + s


@functools.lru_cache(maxsize=8)
def between_rates(factor: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The filter between two rates: [factor, steps] down, [steps, factor] up."""
    taps = highpass._between(factor)
    with torch.inference_mode(False):
        down, up = taps.T.copy(), (taps / taps.sum(axis=0))[::-1].copy()
        return torch.from_numpy(down).to(device), torch.from_numpy(up).to(device)


class HighPass:
    """As highpass.high_passed, for audio of at most ``capacity`` samples at ``rate_hz``."""

    def __init__(self, rate_hz: int, capacity: int, device: torch.device):
        self.factor, self.capacity = max(1, rate_hz // highpass.LOW_RATE_HZ), capacity
        self.taps = torch.from_numpy(highpass.low_pass(rate_hz / self.factor)).to(device)
        self.margin = (len(self.taps) // 2 + 2 * SPAN) * self.factor
        self.down, self.up = between_rates(self.factor, device)

    def __call__(self, audio: Tensor, count: Tensor) -> Tensor:
        """[capacity] → [capacity]; what lies behind ``count`` is arbitrary in both."""
        reach = 2 * self.margin
        last = (count - 1 - torch.arange(reach, device=audio.device)).clamp_min(0)
        ends = middle(audio[:reach], count), middle(audio[last.clamp_max(self.capacity - 1)], count)
        total = -(-self.capacity // self.factor) * self.factor + 2 * self.margin
        piece = continued(audio, count, self.margin, total, ends)
        half = len(self.taps) // 2
        low = torch.nn.functional.pad(lowered(piece, self.factor, self.down), (half, half))
        low = low.unfold(0, len(self.taps), 1) @ self.taps  # symmetric taps
        if self.factor > 1:
            low = (torch.nn.functional.pad(low, (SPAN, SPAN)).unfold(0, 2 * SPAN + 1, 1) @ self.up).flatten()
        return audio - low[self.margin :][: self.capacity]


class Blocks:
    """Powers and peaks of blocks, as audio/envelope.py has them, for audio of at most ``capacity`` samples."""

    def __init__(self, rate_hz: int, capacity: int, device: torch.device, blocks_hz: int = envelope.BLOCKS_HZ):
        self.count = envelope.blocks(capacity, rate_hz, blocks_hz)
        edges = np.arange(self.count + 1, dtype=np.int64) * rate_hz // blocks_hz
        self.edges = torch.from_numpy(edges).to(device)
        self.width = int(np.diff(edges).max(initial=1))
        self.even, self.capacity = rate_hz % blocks_hz == 0, capacity

    def windows(self, audio: Tensor) -> Tensor:
        """[blocks, width]: each block's samples, zeros behind them; ``audio`` [capacity] is zero where not valid."""
        if self.even:
            return torch.nn.functional.pad(audio, (0, self.count * self.width - self.capacity)).view(-1, self.width)
        place = self.edges[:-1, None] + torch.arange(self.width, device=audio.device)
        inside = (place < self.edges[1:, None]) & (place < self.capacity)
        return audio[place.clamp_max(self.capacity - 1)].masked_fill(~inside, 0)

    def powers(self, audio: Tensor, count: Tensor) -> Tensor:
        """float64 [blocks]; 0 where a block holds no valid sample."""
        sizes = torch.minimum(self.edges, count).diff().clamp_min(1)
        return self.windows(audio).double().square_().sum(1) / sizes

    def peaks(self, audio: Tensor) -> Tensor:
        """float32 [blocks]."""
        return self.windows(audio).abs().amax(1)

    def valid(self, count: Tensor) -> Tensor:
        """How many blocks a recording of ``count`` samples has."""
        return (self.edges[:-1] < count).sum()


def sustained(values: Tensor, valid: Tensor) -> Tensor:
    """As envelope.sustained of the ``valid`` first blocks; ``values`` [blocks] are 0 behind them."""
    half = envelope.AROUND_BLOCKS // 2
    around = torch.nn.functional.pad(values, (half, half)).unfold(0, envelope.AROUND_BLOCKS, 1)
    lasting = around.topk(envelope.SUNG_BLOCKS, dim=1).values[:, -1]
    return torch.where(valid > half, lasting, values)


class LowBand:
    """As hum.low_band, for audio of at most ``frames`` frames at the mel's rate."""

    def __init__(self, rate_hz: int, hop_samples: int, frames: int, device: torch.device):
        self.factor = hum.low_factor(rate_hz)
        self.reach, self.samples = SPAN * self.factor, frames * hop_samples
        self.down, _ = between_rates(self.factor, device)
        # where the windows of each frame begin and end, in low-rate samples, as numpy rounds them
        centre = (np.arange(frames) + 0.5) * hop_samples / self.factor
        half = hum.LEVEL_S * rate_hz / self.factor / 2
        self.bounds = [torch.from_numpy(np.rint(centre + side).astype(np.int64)).to(device) for side in (-half, half)]

    def __call__(self, audio: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """(the low band [samples], level in dB float64 [frames]) of the ``count`` first samples of ``audio``."""
        rows = -(-self.samples // self.factor)
        piece = continued(audio, count, self.reach, rows * self.factor + 2 * self.reach)
        band = lowered(piece, self.factor, self.down)[SPAN : SPAN + rows]
        power = piece[self.reach : self.reach + rows * self.factor].square().view(rows, self.factor).mean(1)
        total = torch.nn.functional.pad(power.double().cumsum(0), (1, 0))
        most = torch.div(count + self.factor - 1, self.factor, rounding_mode="floor")
        first, last = (torch.minimum(bound.clamp_min(0), most) for bound in self.bounds)
        level = (total[last] - total[first]) / (last - first).clamp_min(1)
        return band, 10 * torch.log10(level.clamp_min(1e-20))
