"""What a result depends on besides its source: two results of equal requests are equal, to rounding."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from fastsvc.audio.encode import FORMATS
from fastsvc.engine import checks

if TYPE_CHECKING:
    from fastsvc.convert.settings import Settings


def request(engine, settings: Settings, format: str) -> str:
    """32 hexadecimal digits. Not in it: where it is computed, and how many recordings share a batch."""
    features = engine.config.features
    asked = {
        "engine": engine.content_hash,
        "speaker": sorted(engine.table.weights(settings.speaker).items()),
        "steps": settings.steps or engine.default_steps,
        "transpose": settings.transpose if isinstance(settings.transpose, str) else float(settings.transpose),
        "formant": float(settings.formant),
        "seed": settings.seed,
        "f0": settings.f0_method or features.f0_method,
        "f0_weights": _file(settings.f0_weights),
        "f0_range": list(map(float, checks.heard_hz(engine, settings.f0_range))),
        "normalise": settings.normalise,
        "high_pass": settings.high_pass,
        "rms_mix_rate": float(settings.rms_mix_rate),
        "channels": "keep" if settings.keep_channels else "mono",
        "rate_hz": settings.rate_hz,
        "format": format,
        "bits": subtype(settings, format) or "16",
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def subtype(settings: Settings, format: str) -> str | None:
    """The bits that are asked for, where ``format`` has them."""
    return settings.subtype if settings.subtype in FORMATS[format][2] else None


def _file(path: str | None) -> list | None:
    try:
        status = os.stat(path) if path else None
    except OSError:
        return [str(path)]
    return status and [status.st_size, status.st_mtime_ns]
