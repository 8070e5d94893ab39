"""A hash of everything that a result depends on besides its source. Equal hashes give equal results, to rounding."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from fastsvc import arguments
from fastsvc.audio.encode import FORMATS
from fastsvc.engine import rvc_options

if TYPE_CHECKING:
    from fastsvc.convert.settings import ConversionSettings


def request_hash(engine, settings: ConversionSettings, format: str) -> str:
    """32 hexadecimal digits. The device, the size of batches, and the precision where it was left to the engine are not
    part of it: a folder that one machine began is continued on another one without converting anything twice."""
    options = settings.request
    rvc = rvc_options.of(engine, options)
    parts = {
        "engine": engine.content_hash,
        "speaker": sorted(engine.table.weights(options.speaker).items()),
        "steps": options.steps or engine.default_steps,
        "transpose": options.transpose,
        "formant": options.formant,
        "seed": options.seed,
        "f0": rvc_options.f0_method(engine, options),
        "f0_weights": _file(options.f0_weights),
        "f0_range": list(map(float, options.tracked_hz(engine))),
        "normalise": options.normalise,
        "high_pass": options.high_pass,
        "rms_mix_rate": options.rms_mix_rate,
        "channels": "keep" if settings.keep_channels else "mono",
        "rate_hz": settings.rate_hz,
        "format": format,
        "bits": subtype(settings, format) or "16",
    }
    # Options at values that old results were made with add nothing, so that old results keep their hash.
    parts |= {} if rvc is None else {"rvc": asdict(rvc)}
    parts |= {} if options.noise_scale == arguments.DEFAULT_NOISE_SCALE else {"noise_scale": options.noise_scale}
    parts |= {} if settings.precision == "auto" else {"precision": settings.precision}
    as_streams = options.f0_fill, options.resampler
    if as_streams != (arguments.F0_FILLS[0], arguments.RESAMPLERS[0]):
        parts["as_streams"] = as_streams
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def subtype(settings: ConversionSettings, format: str) -> str | None:
    """The requested bits, if ``format`` has them."""
    return settings.subtype if settings.subtype in FORMATS[format][2] else None


def _file(path: str | None) -> list | None:
    try:
        status = os.stat(path) if path else None
    except OSError:
        return [str(path)]
    return status and [status.st_size, status.st_mtime_ns]
