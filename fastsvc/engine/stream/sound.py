"""Mel and pitch of a stream → audio: a window of both for each block, or by a vocoder whose final rows are kept."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fastsvc.engine.cpu.source_filter import SourceFilterVocoder
from fastsvc.engine.cpu.source_filter_rows import FilterRows, State
from fastsvc.engine.stream import reach
from fastsvc.engine.stream.draws import Draws
from fastsvc.engine.stream.settled import Settled, Span
from fastsvc.engine.stream.voice import Voice
from fastsvc.model import pulses, vocoders


@dataclass(frozen=True)
class Sound:
    """``phase``: at the start of the block's frames and of later ones; ``next_phase``: where the block ends."""

    audio: Tensor
    phase: Tensor
    next_phase: float


def maker_of(engine, seed: int) -> WindowSound | KeptSound:
    kept = isinstance(engine.synthesiser.vocoder, SourceFilterVocoder)
    return (KeptSound if kept else WindowSound)(engine, seed)


class WindowSound:
    """Any vocoder, over the block and what it reads before and after it."""

    def __init__(self, engine, seed: int):
        self.synthesiser, self.seed = engine.synthesiser, seed
        self.back, self.ahead = reach.vocoder(engine)

    def clear(self) -> None:
        """The next block is the first one of a recording."""

    def settle(self) -> None:
        """The sound made last is the block's."""

    def make(self, rows: dict[str, Tensor], settled: Settled, span: Span, voice: Voice) -> Sound:
        begin, end = max(0, span.first - self.back), span.within(span.last + self.ahead)
        mel, sung_hz = (settled.window(rows, name, span, begin, end) for name in ("mel", "sung_hz"))
        phase = self._phase(sung_hz, settled, span, begin)
        kept = span.first - begin, span.last - begin
        audio = self.synthesiser.window(mel, sung_hz, phase, begin, self.seed, voice.speaker, kept)
        return self._sound(audio, phase, span, begin)

    def _phase(self, sung_hz: Tensor, settled: Settled, span: Span, begin: int) -> Tensor:
        """[T] of the frames from ``begin`` on; sung_hz [T]."""
        own = span.first - begin
        phase = vocoders.frame_phase(sung_hz[None], self.synthesiser.config)[0]
        phase = (phase - phase[own] + settled.phase).remainder_(1.0)  # exact: whole numbers of 2^-48
        before = settled.settled("phase", begin, span.first)
        if before is not None:
            phase[:own] = before
        return phase

    def _sound(self, audio: Tensor, phase: Tensor, span: Span, begin: int) -> Sound:
        own, end = span.first - begin, span.last - begin
        return Sound(audio, phase[own:], float(phase[end]) if end < len(phase) else 0.0)


class KeptSound(WindowSound):
    """The source-filter vocoder: rows and answers that are final are computed once."""

    def __init__(self, engine, seed: int):
        super().__init__(engine, seed)
        self.rows = FilterRows(self.synthesiser.vocoder)
        self.back = self.rows.back
        self.draws = Draws(lambda _, first, last: pulses.draws(seed, first, last - first, self.rows.hop), self.rows.hop)
        self.clear()

    def clear(self) -> None:
        self.state: State | None = None
        self.found: State | None = None
        self.draws.clear()

    def settle(self) -> None:
        self.state = self.found

    def make(self, rows: dict[str, Tensor], settled: Settled, span: Span, voice: Voice) -> Sound:
        block = span.first, span.last, span.total
        window, config = self.rows.window(*block, self.state), self.synthesiser.config
        mel, sung_hz = (settled.window(rows, name, span, window.begin, window.end) for name in ("mel", "sung_hz"))
        phase = self._phase(sung_hz, settled, span, window.begin)

        def excitation(first: int, last: int) -> Tensor:
            own = slice(first - window.begin, last - window.begin)
            draws = self.draws.rows(0, first, last).reshape(1, -1)
            return pulses.excitation(sung_hz[None, own], phase[None, own], draws, config)

        audio, self.found = self.rows(self.synthesiser.scale * mel, sung_hz, excitation, *block, self.state)
        return self._sound(audio, phase, span, window.begin)
