"""The voice of a stream's blocks, which can change from one block to the next."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fastsvc.engine.request import Request


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
