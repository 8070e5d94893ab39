"""One block of a stream: features → mel → audio, from windows of what earlier blocks have settled.

Settled frames are used as they were computed. Frames beyond the block are provisional: they are computed again, with
more of the future, in their own block. What lies beyond the look-ahead is the last frame, repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fastsvc.engine import checks, rvc_options
from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.request import Request
from fastsvc.engine.stream.found import Found
from fastsvc.engine.stream.reach import Reach
from fastsvc.engine.stream.settled import Block, Settled, Span
from fastsvc.features.f0 import hold
from fastsvc.model import vocoders


@dataclass(frozen=True)
class Voice:
    """What :meth:`Stream.set` changes, as the parts take it."""

    vector: Tensor  # of the acoustic part
    speaker: Tensor | None  # of the vocoder
    semitones: float
    gain: float

    @classmethod
    def of(cls, engine, request: Request, gain: float) -> Voice:
        """Raises SpeakerError, EngineError."""
        speaker = engine.synthesiser.speaker(engine.table.weights(request.speaker))
        return cls(request.voice(engine), speaker, float(request.transpose), gain)


class BlockMaker:
    """Computes blocks one after another; :meth:`make` changes nothing, ``settled.settle`` takes a block over."""

    def __init__(self, engine, request: Request):
        self.engine, self.seed, self.steps = engine, request.seed, request.steps_of(engine)
        self.reach, self.options = Reach.of(engine, self.steps), rvc_options.of(engine, request)
        self.draw = request.noise(engine)
        self.clear()

    def clear(self) -> None:
        """The next block is the first one of a recording."""
        config, back = self.engine.config, max(self.reach.left, self.reach.vocoder)
        self.settled = Settled(config.unit_channels, config.mel.bins, back)

    def make(self, found: Found, span: Span, voice: Voice) -> Block:
        """Raises EngineError for audio that is not finite."""
        held_hz = hold.held(found.f0_hz, found.voiced, self.settled.last_hz)
        f0_hz, voiced = self._unvoiced(held_hz, found.voiced)
        rows = {"units": found.units, "f0_hz": f0_hz, "voiced": voiced, "volume": found.volume}
        if found.original_units is not None:
            rows["original_units"] = found.original_units
        rows["mel"] = self._mel(rows, span, voice)
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

    def _mel(self, rows: dict[str, Tensor], span: Span, voice: Voice) -> Tensor:
        """Log-mel of the block and of as much beyond it as the vocoder reads and the look-ahead reaches."""
        reach = self.reach
        mel_end = min(span.end, span.within(span.last + reach.vocoder))
        begin, end = max(0, span.first - reach.left), span.within(mel_end + reach.right) if reach.holds else span.end
        names = "units", "f0_hz", "voiced", "volume", "original_units"
        window: dict[str, Any] = {
            name: self.settled.window(rows, name, span, begin, end) for name in names if name in rows
        }
        window["f0_hz"] = window["f0_hz"] * 2 ** (voice.semitones / 12)
        if self.options is not None:
            window["protect"] = self.options.protect
        features = Features(unit_indices=torch.arange(end - begin), **window)

        def noise(step: int, first: int, last: int) -> Tensor:
            return self.draw(step, first + begin, last + begin)

        mel = self.engine.sampler(features, voice.vector, self.steps, noise)
        return mel[span.first - begin : mel_end - begin]

    def _audio(self, rows: dict[str, Tensor], span: Span, voice: Voice) -> tuple[Tensor, Tensor, float]:
        """(audio of the block, phase at the start of its frames and of later ones, phase where the block ends)."""
        synthesiser, reach = self.engine.synthesiser, self.reach.vocoder
        begin, end = max(0, span.first - reach), span.within(span.last + reach)
        mel, sung_hz = (self.settled.window(rows, name, span, begin, end) for name in ("mel", "sung_hz"))
        own, count = span.first - begin, span.last - span.first
        phase = vocoders.frame_phase(sung_hz[None], synthesiser.config)[0]
        phase = (phase - phase[own] + self.settled.phase).remainder_(1.0)  # exact: whole numbers of 2^-48
        phase[:own] = self.settled.tapes["phase"].rows(begin, span.first)
        kept = own, own + count
        audio = synthesiser.window(mel, sung_hz, phase, begin, self.seed, voice.speaker, kept)
        next_phase = float(phase[own + count]) if own + count < len(phase) else 0.0
        return audio, phase[own:], next_phase
