"""One block of a stream: features → mel → audio, from windows of what earlier blocks have settled.

Settled frames are used as they were computed. Frames beyond the block are provisional: they are computed again, with
more of the future, in their own block. What lies beyond the look-ahead is the last frame, repeated.
"""

from __future__ import annotations

from torch import Tensor

from fastsvc.engine import checks, rvc_options
from fastsvc.engine.request import Request
from fastsvc.engine.stream import sound
from fastsvc.engine.stream.acoustic import acoustic_of
from fastsvc.engine.stream.found import Found
from fastsvc.engine.stream.settled import Block, Settled, Span
from fastsvc.engine.stream.voice import Voice
from fastsvc.features.f0 import hold


class BlockMaker:
    """Computes blocks one after another; :meth:`make` settles nothing, :meth:`settle` takes over the last block."""

    def __init__(self, engine, request: Request):
        self.engine = engine
        self.acoustic, self.options = acoustic_of(engine, request), rvc_options.of(engine, request)
        self.sound = sound.maker_of(engine, request.seed)
        self.clear()

    def clear(self) -> None:
        """The next block is the first one of a recording."""
        self.settled = Settled(max(self.acoustic.back, self.sound.back))
        self.acoustic.clear()
        self.sound.clear()

    def settle(self, block: Block) -> None:
        self.settled.settle(block)
        self.acoustic.settle()
        self.sound.settle()

    def make(self, found: Found, span: Span, voice: Voice) -> Block:
        """Raises EngineError for audio that is not finite."""
        held_hz = hold.held(found.f0_hz, found.voiced, self.settled.last_hz)
        f0_hz, voiced = self._unvoiced(held_hz, found.voiced)
        features = {"units": found.units, "f0_hz": f0_hz, "voiced": voiced, "volume": found.volume}
        if found.original_units is not None:
            features["original_units"] = found.original_units
        last = min(span.end, span.within(span.last + self.sound.ahead))
        mel, rows = self.acoustic.mel(features, self.settled, span, last, voice)
        rows["mel"] = mel
        sung_hz = f0_hz * 2 ** (voice.semitones / 12)
        rows["sung_hz"] = sung_hz if self.engine.sources_everywhere else sung_hz * voiced
        made = self.sound.make(rows, self.settled, span, voice)
        rows["phase"] = made.phase
        checks.finite(made.audio.numpy())
        audio = made.audio if voice.gain == 1.0 else made.audio / voice.gain
        return Block(span, rows, float(held_hz[span.last - span.first - 1]), made.next_phase, audio)

    def _unvoiced(self, held_hz: Tensor, voiced: Tensor) -> tuple[Tensor, Tensor]:
        """As rvc_front.settled does for RVC's voices."""
        if self.options is None:
            return held_hz, voiced
        return (held_hz, held_hz > 0) if self.options.unvoiced == "interpolated" else (held_hz * voiced, voiced)
