"""Features that a front finds for a block, and what a front is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from fastsvc.engine.stream.intake import Intake


@dataclass(frozen=True)
class Found:
    """Features of n frames. f0_hz is as tracked: only where ``voiced`` does it say anything."""

    units: Tensor  # [n, D], one for each frame
    f0_hz: Tensor  # [n]
    voiced: Tensor  # [n] bool
    volume: Tensor  # [n]
    original_units: Tensor | None = None  # [n, D] before the index replaced them


class Front(Protocol):
    """``rates``: those of the audio that it reads."""

    rates: set[int]

    def needs(self, intake: Intake, end: int) -> int:
        """Samples of the input that features of the frames below ``end`` are made of."""
        ...

    def find(self, intake: Intake, first: int, end: int, gain: float) -> Found:
        """Features of the frames first … end − 1 from the input times ``gain``."""
        ...

    def forget(self, intake: Intake, first: int) -> None:
        """Frames below ``first`` are settled as they were found last, and are not asked for again."""
        ...

    def clear(self) -> None:
        """The next frames are those of another recording."""
        ...


def scaled(audio: Tensor, gain: float) -> Tensor:
    return audio if gain == 1.0 else audio * gain
