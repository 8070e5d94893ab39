"""Recording → features: resampling, level, f0, loudness and content, as the corpus was prepared for training."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from fastsvc import arguments
from fastsvc.audio import channels, envelope, loudness, resample
from fastsvc.config import AnyAcousticConfig, HubertConfig, hubert_units
from fastsvc.engine import inputs
from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.cuda.copies import to_device
from fastsvc.errors import AudioError, EngineError
from fastsvc.features import align, f0, hum

SILENT = 1e-4  # a peak below −80 dB is not worth amplifying
PEAKY = 1.08  # 0.7 dB: how far peaks of singing rise, on average, above what 40 of the 170 ms around reach


def mono(audio, rate_hz: int) -> tuple[np.ndarray, str]:
    """An array as inputs.as_floats takes it → (float32 [samples], a note or ""): channels.mixed.

    Raises AudioError for anything else, and for samples that are not finite.
    """
    audio = inputs.as_floats(audio)
    with np.errstate(over="ignore"):
        audio, note = channels.mixed(audio, rate_hz) if audio.ndim == 2 else (audio, "")
    if audio.size and not np.isfinite((audio.min(), audio.max())).all():  # NaN passes through both
        raise AudioError("audio holds samples that are not finite numbers", "repair the recording")
    return audio, note


def levelled(audio: np.ndarray, peak: float | None, rate_hz: int) -> tuple[np.ndarray, float]:
    """(audio whose singing has that peak, the gain); near silence and ``peak`` None change nothing.

    Clicks do not count: the measured peak is at most PEAKY times the level that lasts. On singing the measured peak is
    0.1 dB below the true one on average, so recordings reach the model as its corpus did; a click changes the gain by
    at most PEAKY.
    """
    loudest = _lasting_peak(audio, rate_hz) if peak else 0.0
    gain = peak / loudest if peak and loudest > SILENT else 1.0
    return (audio if gain == 1.0 else audio * np.float32(gain)), gain


def _lasting_peak(audio: np.ndarray, rate_hz: int) -> float:
    peaks = envelope.peaks(audio, rate_hz)
    return float(min(peaks.max(initial=0.0), PEAKY * envelope.sustained(peaks).max(initial=0.0)))


def features(
    audio: np.ndarray,
    rate_hz: int,
    config: AnyAcousticConfig,
    encoder,
    f0_method: str | None,
    f0_weights=None,
    device: str | torch.device = "cpu",
    yin=None,
    f0_range=None,
    gate_hum: bool = False,
    quality: str = "HQ",
    resampler: Callable[..., np.ndarray] = resample.resample,
) -> Features:
    """audio [samples] → features of ceil(duration / hop) frames; the last frame may reach past the end, into zeros.

    Units stay on the encoder's device, everything else is on the CPU. A GPU tracks the pitch while the audio is
    resampled for the encoder. ``yin``: a device's own, see :func:`pitch`. ``gate_hum``: mains hum in rests is unvoiced.
    ``resampler``: as resample.resample, which gets ``quality``.
    """
    mel = config.mel
    frames = math.ceil(resample.resampled_length(len(audio), rate_hz, mel.rate_hz) / mel.hop_samples)
    at_mel = _extended(resampler(audio, rate_hz, mel.rate_hz, quality), frames * mel.hop_samples)
    melody_on_device = _melody(at_mel, frames, config, f0_method, f0_weights, device, yin, f0_range)
    low_band = hum.low_band(at_mel.numpy(), mel.rate_hz, mel.hop_samples, frames) if gate_hum else None
    del at_mel  # an hour takes 350 MB
    units = encoder.encode(_extended(resampler(audio, rate_hz, encoder.rate_hz, quality), encoder.hop_samples))
    unit_indices = align.indices(len(units), frames, config.features.unit_align, ratio=units_per_frame(config, encoder))
    f0_hz, voiced, volume = _to_host(melody_on_device)
    if low_band is not None:
        style, low_hz = config.features.f0_style, config.features.f0_low_hz
        gated = hum.without_hum(low_band, f0_hz.numpy(), voiced.numpy(), style, low_hz)
        f0_hz, voiced = map(torch.from_numpy, gated)
    return Features(units, unit_indices, f0_hz, voiced, volume)


def melody(
    at_mel: torch.Tensor,
    frames: int,
    config: AnyAcousticConfig,
    f0_method: str | None = None,
    f0_weights=None,
    device: str | torch.device = "cpu",
    yin=None,
    f0_range=None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Audio [frames · hop] at the mel's rate → f0_hz, voiced and volume [frames], computed on ``device``."""
    return _to_host(_melody(at_mel, frames, config, f0_method, f0_weights, device, yin, f0_range))


def _melody(at_mel: torch.Tensor, frames: int, config: AnyAcousticConfig, f0_method, f0_weights, device, yin, f0_range):
    """f0_hz, voiced and volume [3, frames] on the device, which may still be computing them."""
    at_mel = to_device(at_mel, torch.device(device))
    f0_hz, voiced = pitch(at_mel, frames, config, f0_method, f0_weights, yin, f0_range)
    volume = loudness.frame_rms(at_mel[None], config.mel.hop_samples)[0]
    return torch.stack((f0_hz, voiced.to(f0_hz.dtype), volume))


def _to_host(stacked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    f0_hz, voiced, volume = stacked.cpu()
    return f0_hz, voiced > 0, volume


def pitch(
    at_mel: torch.Tensor,
    frames: int,
    config: AnyAcousticConfig,
    f0_method: str | None = None,
    f0_weights=None,
    yin=None,
    f0_range: tuple[float, float] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """f0_hz and voiced [frames] of audio at the mel's rate, in the model's training range and beyond it.

    ``yin``: fastsvc.engine.cuda.pitch.Yin, for recordings that fit it. ``f0_range``: the range that is tracked at all,
    None for the widest (:mod:`fastsvc.features.f0.beyond`).
    """
    mel, spec = config.mel, config.features
    method = f0_method or spec.f0_method
    model_range, widest = f0.ranges(spec.f0_low_hz, spec.f0_high_hz, mel.rate_hz, f0_range)
    if model_range is None:
        method, model_range, widest = "yin", widest, None
    if yin is not None and yin.fits(method, spec.f0_style, at_mel, frames, model_range, widest):
        return yin(at_mel, frames)
    return f0.extract(
        at_mel,
        mel.rate_hz,
        mel.hop_samples,
        frames,
        method=method,
        low_hz=model_range[0],
        high_hz=model_range[1],
        style=spec.f0_style,
        weights=f0_weights,
        beyond=widest,
        future=spec.f0_future_frames,
    )


def units_per_frame(config: AnyAcousticConfig, encoder) -> float | None:
    """Units per mel frame, from the two hops in the order of DDSP-SVC's arithmetic; None if the encoder is unknown."""
    if encoder is None:
        if hubert_units(config.features.encoder) is None and not config.foreign_encoders:
            return None
        encoder = HubertConfig()  # Amphion's whisper units last 20 ms too
    return (config.mel.hop_samples / config.mel.rate_hz) / (encoder.hop_samples / encoder.rate_hz)


def _extended(audio: np.ndarray, least: int) -> torch.Tensor:
    """Continued with zeros to ``least`` samples."""
    missing = least - len(audio)
    return torch.from_numpy(np.pad(audio, (0, missing)) if missing > 0 else audio)


def shift_semitones(transpose, f0_hz: torch.Tensor, voiced: torch.Tensor, target_hz: float | None) -> float:
    """The shift in semitones.

    "auto": from the recording's voiced median to the speaker's, in whole semitones; "octaves": in whole octaves, which
    keeps the key, for singing that goes with an accompaniment.
    """
    if transpose in arguments.AUTO_TRANSPOSE:
        target_hz, unit = required_pitch(target_hz), 12 if transpose == "octaves" else 1
        if not bool(voiced.any()):
            return 0.0
        return float(unit * round(12 / unit * math.log2(target_hz / float(f0_hz[voiced].median()))))
    return float(arguments.transpose(transpose))


def required_pitch(target_hz: float | None) -> float:
    """The median pitch of a speaker. Raises EngineError where the engine has none."""
    if target_hz is None:
        raise EngineError(
            "the engine does not hold the median pitch of this speaker, so --transpose auto and octaves cannot work",
            "use a number of semitones, or build the engine again with --speaker-f0",
        )
    return target_hz
