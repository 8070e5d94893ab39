"""The source-filter vocoder block by block: final rows of its layers are kept, and final answers of its filters.

A frame's filters depend on few rows of the network, and its answer rings for the frames after it. An answer that no
later row can change is added once, to what the next blocks begin with; the others are computed again in each block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fastsvc.engine.cpu.rows import Kept, ahead, ends, starts
from fastsvc.engine.cpu.source_filter import SourceFilterVocoder, overlapped
from fastsvc.model.source_filter import reach


@dataclass(frozen=True)
class State:
    """``kept``: rows of each layer's input and of the last output; ``first``: the first frame whose answer is not
    final; ``ringing`` [samples]: the sum of the final ones, from half a hop before that frame on."""

    kept: list[Kept]
    first: int
    ringing: Tensor


@dataclass(frozen=True)
class Window:
    """Frames of mel and f0 that a block reads, ``begin`` … ``end`` − 1, and those of its filters, ``first`` …"""

    begin: int
    end: int
    first: int
    last: int


class FilterRows:
    """Audio of the frames first … last − 1 of a recording of ``total`` frames, if that is known."""

    def __init__(self, vocoder: SourceFilterVocoder):
        self.vocoder, self.reaches, self.hop = vocoder, list(vocoder.reaches), vocoder.hop
        self.reached, self.ahead = ahead(self.reaches), reach(vocoder.config).ahead
        self.back = self.ahead + 2  # frames before a block of which mel and f0 are read

    def _bounds(self, last: int, total: int | None, first: int, settled: int) -> tuple[int, list[int], list[int]]:
        """(the first frame with filters, the first and the last + 1 row of each layer's input and of the output)."""
        begin, end = max(0, first - 1), last + 2 if total is None else min(last + 2, total)
        return begin, starts(self.reaches, begin, settled), ends(self.reaches, end, total)

    def window(self, first: int, last: int, total: int | None, state: State | None) -> Window:
        begin, firsts, lasts = self._bounds(last, total, *self._from(first, state))
        return Window(min(max(0, begin - 1), firsts[0]), lasts[0], begin, lasts[-1])

    def _from(self, first: int, state: State | None) -> tuple[int, int]:
        """(the first frame whose answer is computed, rows that were final before)."""
        return (-1, 0) if state is None else (state.first, first)

    def __call__(
        self,
        mel: Tensor,
        f0_hz: Tensor,
        excitation: Callable[[int, int], Tensor],
        first: int,
        last: int,
        total: int | None,
        state: State | None,
    ) -> tuple[Tensor, State]:
        """mel [n, M] and f0_hz [n] of :meth:`window`, ``excitation(first, last)`` [1, frames · hop, 2] → (audio
        [(last − first) · hop], the state for the block after it)."""
        answering, settled = self._from(first, state)
        begin, firsts, lasts = self._bounds(last, total, answering, settled)
        window = self.window(first, last, total, state)
        x, over = self.vocoder.features(mel[None], f0_hz[None])
        before: Any = [None] * (len(self.reaches) + 1) if state is None else state.kept
        rows, kept = x[0, firsts[0] - window.begin : lasts[0] - window.begin], []
        for place, own in enumerate(self.reaches):
            read = max(firsts[place + 1] - own.past, 0)
            rows = rows if before[place] is None else before[place].joined(rows, firsts[place], read)
            kept.append(Kept.of(rows, read, last - self.reached[place], sum(own)))
            missing = read - (firsts[place + 1] - own.past), lasts[place + 1] + own.ahead - lasts[place]
            rows = self.vocoder.layer(place, rows[None], *missing)[0]
        rows = rows if before[-1] is None else before[-1].joined(rows, firsts[-1], begin)
        kept.append(Kept.of(rows, begin, last - self.reached[-1], self.ahead + 2))
        changes, gains = self.vocoder.leave(rows[None])
        over = over[:, begin - window.begin :][:, : window.last - begin]
        logarithms, sizes = self.vocoder.filters(changes, over), self.vocoder.sizes(gains)
        early = min(begin, 1)  # in its first frame the excitation does not know from which f0 it comes
        source = excitation(begin - early, window.last)[:, early * self.hop :]
        pieces = self.vocoder.pieces(source, sizes, logarithms)
        pieces = pieces[:, answering - (begin - 1) : last - (begin - 1) + 1]  # the first one is of the frame begin − 1
        return self._joined(pieces, first, last, answering, kept, state)

    def _joined(
        self, pieces: Tensor, first: int, last: int, answering: int, kept: list[Kept], state: State | None
    ) -> tuple[Tensor, State]:
        """The block's audio from the answers of the frames from ``answering`` on, and the next state."""
        hop, final = self.hop, max(answering, last - self.ahead + 1)
        audio, origin = overlapped(pieces)[0], answering * hop - hop // 2
        ringing = overlapped(pieces[:, : final - answering])[0] if final > answering else audio.new_zeros(0)
        if state is not None:
            audio[: len(state.ringing)] += state.ringing[: len(audio)]
            ringing = _sum(ringing, state.ringing)
        start = first * hop - origin
        return audio[start : start + (last - first) * hop], State(kept, final, ringing[(final - answering) * hop :])


def _sum(one: Tensor, other: Tensor) -> Tensor:
    """Samples added, of which either may end first."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    total = longer.clone()
    total[: len(shorter)] += shorter
    return total
