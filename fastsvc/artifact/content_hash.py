"""Which engine it is, by its content: where its folder lies, what it is called and when it was built do not matter."""

from __future__ import annotations

import hashlib
import json

# What is computed, and with what; not what a device adds, nor what was measured.
_KEYS = ("acoustic", "speakers", "speaker_base", "speaker_f0_hz", "input_peak", "precision", "sampler", "depth")
_KEYS += ("schedules", "levels", "vocoder", "content")


def content_hash(manifest: dict) -> str:
    """64 hexadecimal digits, the same for every build of the same checkpoints with the same settings."""
    content = {key: _computed(manifest.get(key)) for key in _KEYS}
    content["files"] = {
        name: entry.get("sha256")
        for name, entry in manifest["files"].items()
        if name.endswith(".safetensors") and isinstance(entry, dict)
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _computed(value):
    """Of a part's entry what changes its results: not where it came from, nor what computes it."""
    if not isinstance(value, dict):
        return value
    return {key: part for key, part in value.items() if key not in ("source", "backend", "cpu_backend")}
