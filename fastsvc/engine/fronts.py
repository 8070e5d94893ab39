"""The part of an offline conversion before the networks, one class a family; an engine chooses its own once.

Streams have fronts of their own (engine/stream/), whose windows end with the look-ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from fastsvc.audio import highpass
from fastsvc.audio.peaks import PeakLimit
from fastsvc.config import AnyAcousticConfig, RvcConfig
from fastsvc.engine import extraction, rvc_front
from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.level import LoudnessProfile
from fastsvc.engine.rvc_options import RvcOptions

if TYPE_CHECKING:
    from fastsvc.engine.request import Request

Level = LoudnessProfile | PeakLimit | None


class OfflineFront(Protocol):
    """What :mod:`fastsvc.engine.conversion` asks of a family; ``engine`` is a fastsvc.engine.Engine everywhere."""

    def levelled(self, engine, audio: np.ndarray, rate_hz: int, request: Request) -> tuple[np.ndarray, float, Level]:
        """audio [samples] → (the same as :meth:`features` takes it, the gain that it got, the output's level)."""
        ...

    def features(self, engine, audio: np.ndarray, rate_hz: int, request: Request) -> Features:
        """audio [samples] → features; the engine is at work meanwhile. Raises ConfigError, EngineError."""
        ...

    def settled(self, engine, features: Features, options: RvcOptions | None) -> Features:
        """``features`` whose unvoiced frames are as requested; ``options``: rvc_options.of a request, or None for the
        engine's own choice."""
        ...


class OfflineMelFront:
    """Models of mels: without rumble and at the corpus' level, which the output's gain undoes."""

    def levelled(self, engine, audio: np.ndarray, rate_hz: int, request: Request) -> tuple[np.ndarray, float, Level]:
        audio = _without_rumble(audio, rate_hz, request)
        level = LoudnessProfile.of(audio, rate_hz, request.rms_mix_rate)
        return *extraction.levelled(audio, input_peak(engine, request), rate_hz), level

    def features(self, engine, audio: np.ndarray, rate_hz: int, request: Request) -> Features:
        recording = audio, rate_hz, engine.config, engine.encoder
        pitch = request.f0_method, request.f0_weights, engine.device, engine.yin, request.range_of(engine)
        how = {"gate_hum": request.high_pass, "quality": request.resample_quality}
        return extraction.features(*recording, *pitch, **how, resampler=engine.resample)

    def settled(self, engine, features: Features, options: RvcOptions | None) -> Features:
        return features  # the model gets f0 and voicing of every frame


class OfflineRvcFront:
    """RVC's voices, whose high-pass and level are their own (engine/rvc_front.py): the gain is always 1."""

    def levelled(self, engine, audio: np.ndarray, rate_hz: int, request: Request) -> tuple[np.ndarray, float, Level]:
        level = LoudnessProfile.of(_without_rumble(audio, rate_hz, request), rate_hz, request.rms_mix_rate)
        return audio, 1.0, level or PeakLimit()

    def features(self, engine, audio: np.ndarray, rate_hz: int, request: Request) -> Features:
        return rvc_front.features(engine, audio, rate_hz, request)

    def settled(self, engine, features: Features, options: RvcOptions | None) -> Features:
        unvoiced = engine.manifest.vocoder.unvoiced_f0 if options is None else options.unvoiced
        return rvc_front.settled(features, unvoiced)


def front_for(config: AnyAcousticConfig) -> OfflineFront:
    """The front of an acoustic model's family."""
    return OfflineRvcFront() if isinstance(config, RvcConfig) else OfflineMelFront()


def input_peak(engine, request: Request) -> float | None:
    """The peak to which recordings are brought; None: as they are."""
    peak = engine.manifest.input_peak
    if request.normalise is None:
        return peak
    return (peak or 0.95) if request.normalise else None


def _without_rumble(audio: np.ndarray, rate_hz: int, request: Request) -> np.ndarray:
    return highpass.high_passed(audio, rate_hz) if request.high_pass else audio
