"""Units of a stream: of a window that is encoded anew for each block, or by layers whose final rows are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from torch import Tensor
from torch.nn.functional import pad

from fastsvc.audio.mel import log_mel
from fastsvc.engine.cpu.recogniser import CpuRecogniser
from fastsvc.engine.cpu.rows import Kept, ahead, starts
from fastsvc.engine.stream import reach
from fastsvc.engine.stream.continued import continued, held, reach_samples
from fastsvc.engine.stream.found import scaled
from fastsvc.engine.stream.intake import Resampled


def units_of(encoder) -> CachedUnits | WindowUnits:
    return WindowUnits(encoder) if reach.units(encoder) is None else CachedUnits(encoder)


class WindowUnits:
    """Any encoder, over a window: ``past`` units before the first one asked for, and all the audio after it."""

    def __init__(self, encoder):
        self.encoder, self.hop = encoder, encoder.hop_samples
        self.past = reach.units(encoder) or math.ceil(reach.PAST_S * encoder.rate_hz / encoder.hop_samples)
        self.stride = getattr(encoder, "stride", 1)

    def begin(self, first: int) -> int:
        """The first unit whose audio is read for those from ``first`` on."""
        begin = max(0, first - self.past)
        return begin - begin % self.stride

    def find(self, resampled: Resampled, first: int, last: int, gain: float) -> tuple[Tensor, int]:
        """Audio up to the sample ``last`` → (units [n, D], the place of the first one, at most ``first``)."""
        begin = self.begin(first)
        return self.encoder.encode(scaled(resampled.samples(begin * self.hop, last), gain)), begin

    def settle(self) -> None:
        """The units found last are final: later ones are asked for from no earlier place on."""

    def clear(self) -> None:
        """The next units are those of another recording."""


@dataclass(frozen=True)
class State:
    """``kept``: of each layer's input and of the units; ``settled``: mels below it are final."""

    kept: list[Kept]
    settled: int
    gain: float


class CachedUnits(WindowUnits):
    """The convolutional recogniser: audio does not change any more, so most rows of each layer are final.

    Only those that the audio's end can still change are computed again; after a change of gain, all. Where the audio
    ends, its spectrum goes on if it is steady (continued.py), else each convolution reads zeros.
    """

    def __init__(self, encoder):
        super().__init__(encoder)
        self.mel, self.network = encoder.config.mel, CpuRecogniser(encoder.model)
        # networks of few layers may read less than the spectrum that is held, which ends with the audio
        self.past = max(self.past, math.ceil(reach_samples(self.mel) / self.hop) + 1)
        self.padding = (self.mel.fft_samples - self.mel.hop_samples) // 2  # samples before a mel frame's own
        self.state: State | None = None
        self.found: State | None = None

    def clear(self) -> None:
        self.state = self.found = None

    def settle(self) -> None:
        self.state = self.found

    def find(self, resampled: Resampled, first: int, last: int, gain: float) -> tuple[Tensor, int]:
        state = self.state if self.state is not None and self.state.gain == gain else None
        settled, reaches = 0 if state is None else state.settled, self.network.reaches
        end = max(1, last // self.hop)
        first = min(first, end - 1)
        firsts, reached = starts(reaches, first, settled), ahead(reaches)
        final = min(end, max(0, (last - self.mel.fft_samples + self.padding) // self.hop + 1))
        before: Any = repeat(None) if state is None else state.kept
        newest = held(resampled, last, self.mel, gain)
        # the last frame reaches past the audio's end; others, too, where a window has over three hops: these keep a
        # reflection of it
        rows = continued(self._mel(resampled, firsts[0], last, gain), newest, int(final < end), reached[-1])
        after = []
        for layer, own, width, start, next_start, old in zip(
            self.network.layers, reached, reaches, firsts, firsts[1:], before
        ):
            begin = max(next_start - width.past, 0)
            window = rows if old is None else old.joined(rows, start, begin)
            after.append(Kept.of(window, begin, final - own, sum(width)))
            rows = layer(window, begin - (next_start - width.past), 0 if newest is not None else width.ahead)
        rows = self.network.units(rows)
        units = rows if state is None else state.kept[-1].joined(rows, firsts[-1], first)
        after.append(Kept.of(units, first, final - reached[-1], end))
        self.found = State(after, final, gain)
        return units, first

    def _mel(self, resampled: Resampled, first: int, last: int, gain: float) -> Tensor:
        """Mel frames from ``first`` on, of audio that ends at ``last``: its end is reflected, as in log_mel."""
        begin = max(0, first - -(-self.padding // self.hop))  # where log_mel reflects the start
        audio = scaled(resampled.samples(begin * self.hop, last), gain)
        audio = pad(audio, (0, max(0, self.hop - len(audio))))  # of less than a hop, as encode does
        return log_mel(audio[None], self.mel)[0, first - begin :]
