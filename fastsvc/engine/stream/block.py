"""One block of a stream: features → mel → audio, from windows of what earlier blocks have settled.

Settled frames are used as they were computed. Frames beyond the block are provisional: they are computed again, with
more of the future, in their own block. What lies beyond the look-ahead is the last frame, repeated.
"""

from __future__ import annotations

from torch import Tensor

from fastsvc.engine import checks, rvc_options
from fastsvc.engine.request import Request
from fastsvc.engine.stream import reach
from fastsvc.engine.stream.acoustic import acoustic_of
from fastsvc.engine.stream.found import Found
from fastsvc.engine.stream.settled import Block, Settled, Span
from fastsvc.engine.stream.voice import Voice
from fastsvc.features.f0 import hold
from fastsvc.model import vocoders


class BlockMaker:
    """Computes blocks one after another; :meth:`make` settles nothing, :meth:`settle` takes over the last block."""

    def __init__(self, engine, request: Request):
        self.engine, self.seed = engine, request.seed
        self.acoustic, self.options = acoustic_of(engine, request), rvc_options.of(engine, request)
        self.vocoder_reach = reach.vocoder(engine)
        self.clear()

    def clear(self) -> None:
        """The next block is the first one of a recording."""
        self.settled = Settled(max(self.acoustic.back, self.vocoder_reach.past))
        self.acoustic.clear()

    def settle(self, block: Block) -> None:
        self.settled.settle(block)
        self.acoustic.settle()

    def make(self, found: Found, span: Span, voice: Voice) -> Block:
        """Raises EngineError for audio that is not finite."""
        held_hz = hold.held(found.f0_hz, found.voiced, self.settled.last_hz)
        f0_hz, voiced = self._unvoiced(held_hz, found.voiced)
        features = {"units": found.units, "f0_hz": f0_hz, "voiced": voiced, "volume": found.volume}
        if found.original_units is not None:
            features["original_units"] = found.original_units
        last = min(span.end, span.within(span.last + self.vocoder_reach.ahead))
        mel, rows = self.acoustic.mel(features, self.settled, span, last, voice)
        rows["mel"] = mel
        sung_hz = f0_hz * 2 ** (voice.semitones / 12)
        rows["sung_hz"] = sung_hz if self.engine.sources_everywhere else sung_hz * voiced
        audio, rows["phase"], next_phase = self._audio(rows, span, voice)
        checks.finite(audio.numpy())
        audio = audio if voice.gain == 1.0 else audio / voice.gain
        return Block(span, rows, float(held_hz[span.last - span.first - 1]), next_phase, audio)

    def _unvoiced(self, held_hz: Tensor, voiced: Tensor) -> tuple[Tensor, Tensor]:
        """As rvc_front.settled does for RVC's voices."""
        if self.options is None:
            return held_hz, voiced
        return (held_hz, held_hz > 0) if self.options.unvoiced == "interpolated" else (held_hz * voiced, voiced)

    def _audio(self, rows: dict[str, Tensor], span: Span, voice: Voice) -> tuple[Tensor, Tensor, float]:
        """(audio of the block, phase at the start of its frames and of later ones, phase where the block ends)."""
        synthesiser, (past, ahead) = self.engine.synthesiser, self.vocoder_reach
        begin, end = max(0, span.first - past), span.within(span.last + ahead)
        mel, sung_hz = (self.settled.window(rows, name, span, begin, end) for name in ("mel", "sung_hz"))
        own, count = span.first - begin, span.last - span.first
        phase = vocoders.frame_phase(sung_hz[None], synthesiser.config)[0]
        phase = (phase - phase[own] + self.settled.phase).remainder_(1.0)  # exact: whole numbers of 2^-48
        before = self.settled.settled("phase", begin, span.first)
        if before is not None:
            phase[:own] = before
        kept = own, own + count
        audio = synthesiser.window(mel, sung_hz, phase, begin, self.seed, voice.speaker, kept)
        next_phase = float(phase[own + count]) if own + count < len(phase) else 0.0
        return audio, phase[own:], next_phase
