"""What a result depends on besides its source: two results of equal requests are equal, to rounding."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from fastsvc.audio.encode import FORMATS

if TYPE_CHECKING:
    from fastsvc.convert.settings import Settings


def request(engine, settings: Settings, format: str) -> str:
    """32 hexadecimal digits. Not in it: where it is computed, and how many recordings share a batch."""
    asked = settings.request
    parts = {
        "engine": engine.content_hash,
        "speaker": sorted(engine.table.weights(asked.speaker).items()),
        "steps": asked.steps or engine.default_steps,
        "transpose": asked.transpose,
        "formant": asked.formant,
        "seed": asked.seed,
        "f0": asked.f0_method or engine.config.features.f0_method,
        "f0_weights": _file(asked.f0_weights),
        "f0_range": list(map(float, asked.tracked_hz(engine))),
        "normalise": asked.normalise,
        "high_pass": asked.high_pass,
        "rms_mix_rate": asked.rms_mix_rate,
        "channels": "keep" if settings.keep_channels else "mono",
        "rate_hz": settings.rate_hz,
        "format": format,
        "bits": subtype(settings, format) or "16",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def subtype(settings: Settings, format: str) -> str | None:
    """The bits that are asked for, where ``format`` has them."""
    return settings.subtype if settings.subtype in FORMATS[format][2] else None


def _file(path: str | None) -> list | None:
    try:
        status = os.stat(path) if path else None
    except OSError:
        return [str(path)]
    return status and [status.st_size, status.st_mtime_ns]
