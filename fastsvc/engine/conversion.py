"""Around the parts of a conversion: what was heard or told, where its result goes, and the result at its length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from fastsvc.audio import highpass, resample
from fastsvc.engine import checks, hearing, pitch_notes, tensors
from fastsvc.engine.cpu.sampler import Features, Progress
from fastsvc.engine.level import Level
from fastsvc.engine.request import Request
from fastsvc.errors import AudioError
from fastsvc.features import align


class Place(NamedTuple):
    """What :meth:`fastsvc.engine.Engine.join` is told besides the audio: of the input, of the result."""

    samples: int
    rate_hz: int
    rate_out_hz: int
    gain: float
    level: Level | None = None  # whose loudness over time the result gets; None: the model's own


@dataclass(frozen=True)
class Heard:
    """A recording as the engine heard it; ``semitones``: by how much its melody was moved.

    ``notes``: what its user should know of how it was heard.
    """

    features: Features
    semitones: float
    place: Place
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        return len(self.features.f0_hz)


@dataclass(frozen=True)
class Ready:
    """A recording as the model's features are made of it, at its own rate: without rumble, at the corpus' level."""

    audio: np.ndarray  # [samples]
    place: Place
    note: str

    @staticmethod
    def of(engine, whole: np.ndarray, note: str, rate_hz: int, request: Request) -> Ready:
        """``whole`` [samples], not empty, and ``note``: as hearing.mono gives them."""
        whole = highpass.high_passed(whole, rate_hz) if request.high_pass else whole
        peak = engine.manifest.input_peak
        if request.normalise is not None:
            peak = (peak or 0.95) if request.normalise else None
        level = Level.of(whole, rate_hz, request.rms_mix_rate)
        whole, gain = hearing.levelled(whole, peak, rate_hz)
        return Ready(whole, Place(len(whole), rate_hz, request.rate_out_hz or rate_hz, 1 / gain, level), note)

    def features(self, engine, request: Request) -> Features:
        """Its features; the engine is at work meanwhile. Raises ConfigError, EngineError."""
        how = request.f0_method, request.f0_weights, engine.device, engine.yin, request.range_of(engine)
        given = self.audio, self.place.rate_hz, engine.config, engine.encoder
        return hearing.features(*given, *how, gate_hum=request.high_pass)

    def heard(self, engine, request: Request, features: Features) -> Heard:
        """With the melody of ``features``, in their own memory, moved to the voice."""
        target_hz = request.target_hz(engine)
        semitones = hearing.shift_semitones(request.transpose, features.f0_hz, features.voiced, target_hz)
        features.f0_hz.mul_(2 ** (semitones / 12))
        notes = pitch_notes.notes(features, semitones, engine.config)
        return Heard(features, semitones, self.place, (self.note, *notes) if self.note else notes)


def mixed(audio, rate_hz: int) -> tuple[np.ndarray, str]:
    """As hearing.mono. Raises AudioError, for no samples too."""
    whole, note = hearing.mono(audio, rate_hz)
    if len(whole) == 0:
        raise AudioError("the recording holds no samples", "record or export the sound again")
    return whole, note


def told(engine, units, f0_hz, volume, voiced=None) -> Features:
    """Features that were computed elsewhere, as :meth:`fastsvc.engine.Engine.synthesise` takes them."""
    f0_hz, volume = (tensors.checked(*v, torch.float32) for v in (("f0_hz", f0_hz), ("volume", volume)))
    units = tensors.checked("units", units)
    voiced = f0_hz > 0 if voiced is None else tensors.checked("voiced", voiced, torch.bool)
    checks.features(units, f0_hz, volume, voiced, engine.config.condition.unit_channels)
    frames, how, ratio = len(f0_hz), engine.config.features.unit_align, None
    if len(units) != frames:
        ratio = hearing.units_per_frame(engine.config, engine.encoder)
        units = align.align(units, frames, how, ratio=ratio) if how == "average" else units
    places = align.indices(len(units), frames, "nearest" if how == "average" else how, ratio=ratio)
    return Features(units, places, f0_hz, voiced, volume)


def joined(made: np.ndarray, own_hz: int, place: Place) -> np.ndarray:
    """Audio at the model's rate → the length, rate and level that ``place`` says. Raises EngineError: not finite."""
    length = resample.resampled_length(place.samples, place.rate_hz, place.rate_out_hz)
    made = made[: math.ceil(place.samples * own_hz / place.rate_hz)]
    if own_hz != place.rate_out_hz:
        made = resample.resample(made, own_hz, place.rate_out_hz)
    # rounding of rates leaves at most one sample too many or too few
    made = made[:length] if len(made) >= length else np.pad(made, (0, length - len(made)))
    made = made if place.gain == 1.0 else np.multiply(made, np.float32(place.gain), out=made)
    checks.finite(made)
    return made if place.level is None else place.level.follow(made, place.rate_out_hz)


def between(progress: Progress | None, low: float, high: float) -> Progress | None:
    """The progress of a part that lies between these fractions of the whole."""
    return progress and (lambda fraction: progress(low + fraction * (high - low)))
