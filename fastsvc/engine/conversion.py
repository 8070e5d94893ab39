"""Between the parts of a conversion: what was heard, where its result goes, and the result at its length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastsvc.audio import resample
from fastsvc.engine.runtime import Features, Progress


class Place(NamedTuple):
    """What :meth:`fastsvc.engine.Engine.join` is told besides the audio: of the input, of the result."""

    samples: int
    rate_hz: int
    rate_out_hz: int
    gain: float


@dataclass(frozen=True)
class Heard:
    """A recording as the engine heard it; ``semitones``: by how much its melody was moved."""

    features: Features
    semitones: float
    place: Place

    @property
    def frames(self) -> int:
        return len(self.features.f0_hz)


def joined(made: np.ndarray, own_hz: int, place: Place) -> np.ndarray:
    """Audio at the model's rate → the length, rate and level that ``place`` says."""
    length = resample.resampled_length(place.samples, place.rate_hz, place.rate_out_hz)
    made = made[: math.ceil(place.samples * own_hz / place.rate_hz)]
    if own_hz != place.rate_out_hz:
        made = resample.resample(made, own_hz, place.rate_out_hz)
    # rounding of rates leaves at most one sample too many or too few
    made = made[:length] if len(made) >= length else np.pad(made, (0, length - len(made)))
    return made if place.gain == 1.0 else np.multiply(made, np.float32(place.gain), out=made)


def between(progress: Progress | None, low: float, high: float) -> Progress | None:
    """The progress of a part that lies between these fractions of the whole."""
    return progress and (lambda fraction: progress(low + fraction * (high - low)))
