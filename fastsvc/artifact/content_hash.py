"""A hash of an engine's content, whatever the path and name of its folder and the date of its build."""

from __future__ import annotations

import hashlib
import json

# Keys that change results; without the parts of devices and without measurements.
_KEYS = ("acoustic", "speakers", "speaker_base", "speaker_f0_hz", "input_peak", "precision", "sampler", "depth")
_KEYS += ("schedules", "levels", "vocoder", "content")


def content_hash(manifest: dict) -> str:
    """64 hexadecimal digits, the same for every build of the same checkpoints with the same settings."""
    content = {key: _result_values(manifest.get(key)) for key in _KEYS}
    content["files"] = {
        name: entry.get("sha256")
        for name, entry in manifest["files"].items()
        if name.endswith(".safetensors") and isinstance(entry, dict)
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _result_values(value):
    """The values of a part's entry that change its results, so without its origin and its backends."""
    if not isinstance(value, dict):
        return value
    return {key: part for key, part in value.items() if key not in ("source", "backend", "cpu_backend")}
