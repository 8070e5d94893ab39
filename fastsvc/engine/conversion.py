"""The steps around the networks in a conversion: preparing a recording, its features, fitting the output."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch

from fastsvc.audio import resample
from fastsvc.audio.peaks import PeakLimit
from fastsvc.engine import checks, extraction, pitch_notes, rvc_options, tensors
from fastsvc.engine.cpu.sampler import Features, Progress
from fastsvc.engine.level import LoudnessProfile
from fastsvc.engine.request import Request
from fastsvc.errors import AudioError
from fastsvc.features import align
from fastsvc.features.f0 import hold


class OutputSpec(NamedTuple):
    """The arguments of :meth:`fastsvc.engine.Engine.join` besides the audio: input's length and rate, output's rate."""

    samples: int
    rate_hz: int
    rate_out_hz: int
    gain: float
    level: LoudnessProfile | PeakLimit | None = None  # whose loudness over time the output gets; None: the model's own
    quality: str = "HQ"  # of resample.resample


class Recording(Protocol):
    """A recording whose features are being computed, or are there."""

    @property
    def features(self) -> Features: ...

    def regated(self) -> Features | None:
        """Features in place of :attr:`features`, where these turned out to hold hum; waits for what it needs."""
        ...

    def settled(self) -> RecordingFeatures:
        """All that is known of the recording; waits for it."""
        ...


@dataclass(frozen=True)
class RecordingFeatures:
    """Features of a recording whose melody was moved by ``semitones``; ``notes``: lines about them for the user."""

    features: Features
    semitones: float
    output_spec: OutputSpec
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        return len(self.features.f0_hz)

    def regated(self) -> Features | None:
        return None

    def settled(self) -> RecordingFeatures:
        return self


@dataclass(frozen=True)
class PreparedRecording:
    """A recording from which features can be extracted, at its own rate and at the level of its engine's front."""

    audio: np.ndarray  # [samples]
    output_spec: OutputSpec
    note: str

    @staticmethod
    def of(engine, audio: np.ndarray, note: str, rate_hz: int, request: Request) -> PreparedRecording:
        """``audio`` [samples], not empty, and ``note``: as extraction.mono gives them."""
        rates = len(audio), rate_hz, request.rate_out_hz or rate_hz
        audio, gain, level = engine.front.levelled(engine, audio, rate_hz, request)
        return PreparedRecording(audio, OutputSpec(*rates, 1 / gain, level, request.resample_quality), note)

    def features(self, engine, request: Request) -> Features:
        """Its features; the engine is at work meanwhile. Raises ConfigError, EngineError."""
        found = engine.front.features(engine, self.audio, self.output_spec.rate_hz, request)
        if request.f0_fill == "interpolate":
            return found
        return replace(found, f0_hz=hold.held(found.f0_hz, found.voiced))

    def transposed(self, engine, request: Request, features: Features) -> RecordingFeatures:
        """``features`` with the melody moved to the target voice, in their own memory."""
        target_hz, options = request.target_hz(engine), rvc_options.of(engine, request)
        semitones = extraction.shift_semitones(request.transpose, *features.melody, target_hz)
        features.f0_hz.mul_(2 ** (semitones / 12))
        notes = pitch_notes.notes(features, semitones, engine.config)
        features = engine.front.settled(engine, features, options)
        return RecordingFeatures(features, semitones, self.output_spec, (self.note, *notes) if self.note else notes)


def extracted(engine, audio: np.ndarray, note: str, rate_hz: int, request: Request) -> RecordingFeatures:
    """``audio`` [samples], not empty, and ``note``: as extraction.mono gives them. Raises ConfigError, EngineError."""
    return begun(engine, audio, note, rate_hz, request).settled()


def begun(engine, audio: np.ndarray, note: str, rate_hz: int, request: Request) -> Recording:
    """The same, but a GPU may still be at work."""
    device_front = engine.device_front
    if device_front is not None and device_front.takes(len(audio), rate_hz, request):
        with engine.lock:
            start = time.perf_counter()
            recording = device_front.begin(engine, audio, note, rate_hz, request)
            engine.timings = {"features": time.perf_counter() - start}
        return recording
    prepared = PreparedRecording.of(engine, audio, note, rate_hz, request)
    with engine.lock:
        start = time.perf_counter()
        features = prepared.features(engine, request)
        engine.timings = {"features": time.perf_counter() - start}
    return prepared.transposed(engine, request, features)


def nonempty_mono(audio, rate_hz: int) -> tuple[np.ndarray, str]:
    """As extraction.mono. Raises AudioError for a recording without samples too."""
    mono, note = extraction.mono(audio, rate_hz)
    if len(mono) == 0:
        raise AudioError("the recording holds no samples", "record or export the sound again")
    return mono, note


def checked_features(engine, units, f0_hz, volume, voiced=None) -> Features:
    """Features that were computed elsewhere, as :meth:`fastsvc.engine.Engine.synthesise` takes them."""
    f0_hz, volume = (tensors.checked(*v, torch.float32) for v in (("f0_hz", f0_hz), ("volume", volume)))
    units = tensors.checked("units", units)
    voiced = f0_hz > 0 if voiced is None else tensors.checked("voiced", voiced, torch.bool)
    checks.features(units, f0_hz, volume, voiced, engine.config.unit_channels)
    frames, method, ratio = len(f0_hz), engine.config.features.unit_align, None
    if len(units) != frames:
        ratio = extraction.units_per_frame(engine.config, engine.encoder)
        units = align.align(units, frames, method, ratio=ratio) if method == "average" else units
    unit_indices = align.indices(len(units), frames, "nearest" if method == "average" else method, ratio=ratio)
    return engine.front.settled(engine, Features(units, unit_indices, f0_hz, voiced, volume), None)


def joined(engine, audio: np.ndarray | torch.Tensor, spec: OutputSpec) -> np.ndarray:
    """:func:`finished_audio` of audio at the engine's rate, on the host or on its device."""
    device_join = engine.device_join
    if device_join is not None and device_join.takes(spec):
        try:
            return device_join(audio, spec)
        except torch.OutOfMemoryError:  # others use the GPU: the processor needs none of its memory
            torch.cuda.empty_cache()
    audio = audio.cpu().numpy() if isinstance(audio, torch.Tensor) else audio
    return finished_audio(audio, engine.rate_hz, spec, engine.resample)


def finished_audio(
    audio: np.ndarray, model_rate_hz: int, spec: OutputSpec, resampler: Callable[..., np.ndarray] = resample.resample
) -> np.ndarray:
    """Audio at the model's rate → length, rate and level of ``spec``. Raises EngineError for values not finite."""
    length = resample.resampled_length(spec.samples, spec.rate_hz, spec.rate_out_hz)
    audio = audio[: math.ceil(spec.samples * model_rate_hz / spec.rate_hz)]
    if model_rate_hz != spec.rate_out_hz:
        audio = resampler(audio, model_rate_hz, spec.rate_out_hz, spec.quality)
    # rounding of rates leaves at most one sample too many or too few
    audio = audio[:length] if len(audio) >= length else np.pad(audio, (0, length - len(audio)))
    audio = audio if spec.gain == 1.0 else np.multiply(audio, np.float32(spec.gain), out=audio)
    checks.finite(audio)
    return audio if spec.level is None else spec.level.follow(audio, spec.rate_out_hz)


def progress_between(progress: Progress | None, low: float, high: float) -> Progress | None:
    """The progress callback of a step that takes a conversion from the fraction ``low`` to ``high``."""
    return progress and (lambda fraction: progress(low + fraction * (high - low)))
