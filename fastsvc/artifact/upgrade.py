"""Manifests of older engines, with what they left unsaid."""

from __future__ import annotations

FORMAT, VERSION = "fastsvc-engine", 1
# What was meant before a key was written. Of version 1 all came later: it has been read ever since.
DEFAULTS = {
    "speaker_base": 0,
    "speaker_f0_hz": [],
    "input_peak": None,
    "precision": "fp32",
    "depth": None,
    "vocoder": None,
    "content": None,
    "check": None,
    "verified": {},
    "measured": {},
}
VOCODER_DEFAULTS = {"unvoiced_f0": "zero", "backend": "auto", "cpu_backend": "torch"}
# Backends that are gone: the same package, with transposed convolutions written as ordinary ones.
REMOVED_BACKENDS = {"tensorrt_polyphase": "tensorrt", "tensorrt_rtx_polyphase": "tensorrt_rtx"}
CONTENT_DEFAULTS = {"kind": "recogniser"}


def upgraded(stated: dict) -> dict:
    """A manifest with every key of today. A GPU computed in the engine's precision before it had one of its own, and
    the fewest steps were the default."""
    found = DEFAULTS | stated
    found["gpu_precision"] = stated.get("gpu_precision") or found["precision"]
    found.setdefault("default_steps", min(map(int, found["schedules"])))
    for part, unsaid in (("vocoder", VOCODER_DEFAULTS), ("content", CONTENT_DEFAULTS)):
        if found[part] is not None:
            found[part] = unsaid | {key: value for key, value in found[part].items() if value is not None}
    if found["vocoder"] is not None:
        backend = found["vocoder"]["backend"]
        found["vocoder"]["backend"] = REMOVED_BACKENDS.get(backend, backend)
    return found
