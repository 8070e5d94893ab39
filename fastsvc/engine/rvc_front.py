"""Recording → features of RVC's voices, as their corpus was prepared for training.

Everything is computed at 16 kHz: peaks above 0.95 are divided out, the high-pass is audio/butterworth.py's, and
MARGIN_S of the recording, reflected, continue it at both ends. Frame t covers the 10 ms from its start on; upstream
takes the pitch at that start, and each unit for two frames.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from fastsvc.audio import butterworth, peaks, resample
from fastsvc.engine import rvc_options
from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.cuda.copies import to_device
from fastsvc.features import f0, hum
from fastsvc.features.f0 import neural, styles

if TYPE_CHECKING:
    from fastsvc.engine.request import Request

MARGIN_S = 1.0
RATE_HZ, HOP = butterworth.RATE_HZ, 160  # a hundred frames a second
MARGIN = round(MARGIN_S * RATE_HZ / HOP)  # frames
HALF = HOP // 2  # our trackers' frames are centred half a frame late
REACH = 240  # samples past the last frame, with which the encoder has a unit for it


def features(engine, audio: np.ndarray, rate_hz: int, request: Request) -> Features:
    """audio [samples] → features of ceil(duration / 10 ms) frames and MARGIN more at both ends.

    f0_hz runs in straight lines through unvoiced frames. Raises ConfigError, EngineError.
    """
    options, mel = rvc_options.of(engine, request), engine.config.mel
    assert options is not None, "the engine is not a voice of RVC"
    frames = max(1, math.ceil(resample.resampled_length(len(audio), rate_hz, mel.rate_hz) / mel.hop_samples))
    low_rate = engine.resample(audio, rate_hz, RATE_HZ, request.resample_quality)
    padded = continued(prepared(low_rate, request.high_pass), frames)
    frames += 2 * MARGIN
    units = engine.encoder.encode(padded[HALF:])  # first, as a GPU works on it while the host waits for the pitch
    original = None
    if options.uses_index:
        original, units = units, engine.index.blend(units, options.index_rate, options.index_search)
    f0_hz, voiced = torch.zeros(frames), torch.zeros(frames, dtype=torch.bool)
    method = rvc_options.f0_method(engine, request)
    if method is not None:
        f0_hz, voiced = pitch(engine, padded, frames, method, request)
    unit_indices = (torch.arange(frames) * HOP // engine.encoder.hop_samples).clamp_(max=len(units) - 1)
    return Features(units, unit_indices, f0_hz, voiced, torch.zeros(frames), original, options.protect, MARGIN)


def prepared(audio: np.ndarray, high_pass: bool) -> np.ndarray:
    """[samples] at RATE_HZ → [samples], as an embedder and a pitch tracker of RVC get them."""
    audio = peaks.limited(audio, peaks.INPUT_PEAK)
    audio = audio if len(audio) else np.zeros(1, np.float32)  # of a sample or two at a higher rate nothing is left
    return butterworth.high_passed(audio) if high_pass else audio


def continued(audio: np.ndarray, frames: int) -> torch.Tensor:
    """[samples] → that audio with the reflected margins of a recording of ``frames`` frames.

    The first frame of the left margin starts at sample HALF.
    """
    left, right = MARGIN * HOP + HALF, (frames + MARGIN) * HOP + REACH - len(audio)
    return torch.from_numpy(np.pad(audio, (left, right), mode="reflect"))


def pitch(engine, audio: torch.Tensor, frames: int, method: str, request: Request) -> tuple[torch.Tensor, torch.Tensor]:
    """Continued audio → f0_hz [frames], voiced [frames] at the frames' starts."""
    low_hz, high_hz = engine.config.features.f0_low_hz, engine.config.features.f0_high_hz
    model_range, widest = f0.ranges(low_hz, high_hz, RATE_HZ, request.range_of(engine))
    on_device = to_device(audio, torch.device(engine.device))
    if method == "rmvpe":  # on RVC's own grid
        tracked_hz, confidence = neural.track(method, on_device[HALF:], *widest, weights=request.f0_weights)
        f0_hz, voiced = tracked_hz[:frames], confidence[:frames] > neural.THRESHOLD[method]
    else:
        method, model_range, beyond = (method, model_range, widest) if model_range else ("yin", widest, None)
        options = {"low_hz": model_range[0], "high_hz": model_range[1], "weights": request.f0_weights}
        tracked = f0.extract(on_device, RATE_HZ, HOP, frames, method=method, beyond=beyond, **options)
        f0_hz, voiced = (part.cpu().numpy() for part in tracked)
    if request.high_pass:
        band = hum.low_band(audio.numpy(), RATE_HZ, HOP, frames)
        voiced = voiced & ~hum.hum_frames(band, voiced)
    filled = styles.fill(np.where(voiced, f0_hz, 0.0)).astype(np.float32)
    return torch.from_numpy(filled), torch.from_numpy(voiced)


def settled(features: Features, unvoiced: str) -> Features:
    """``features`` whose unvoiced frames have no pitch ("zero"), or are voiced like the others ("interpolated"), so
    that everything after them does as requested, whatever the engine's own choice is."""
    if unvoiced == "interpolated":
        return replace(features, voiced=features.f0_hz > 0)
    return replace(features, f0_hz=features.f0_hz * features.voiced)
