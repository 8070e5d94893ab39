"""Manifests of older engines, completed with today's keys."""

from __future__ import annotations

FORMAT, VERSION = "fastsvc-engine", 1
# The meaning of a key before it existed. Version 1 has been read from the start, and all these keys came later.
DEFAULTS = {
    "speaker_base": 0,
    "default_speaker": None,
    "speaker_f0_hz": [],
    "input_peak": None,
    "precision": "fp32",
    "store": "float",
    "depth": None,
    "vocoder": None,
    "content": None,
    "index": None,
    "check": None,
    "verified": {},
    "measured": {},
}
VOCODER_DEFAULTS = {"unvoiced_f0": "zero", "backend": "auto", "cpu_backend": "torch"}
# Removed backends → today's: the same package, with transposed convolutions written as ordinary ones.
REMOVED_BACKENDS = {"tensorrt_polyphase": "tensorrt", "tensorrt_rtx_polyphase": "tensorrt_rtx"}
CONTENT_DEFAULTS = {"kind": "recogniser"}


def upgraded(raw: dict) -> dict:
    """A manifest with all of today's keys. Before ``gpu_precision`` a GPU computed in the engine's precision; before
    ``default_steps`` the fewest steps were the default."""
    manifest = DEFAULTS | raw
    manifest["gpu_precision"] = raw.get("gpu_precision") or manifest["precision"]
    manifest.setdefault("default_steps", min(map(int, manifest["schedules"])))
    for part, defaults in (("vocoder", VOCODER_DEFAULTS), ("content", CONTENT_DEFAULTS)):
        if manifest[part] is not None:
            manifest[part] = defaults | {key: value for key, value in manifest[part].items() if value is not None}
    if manifest["vocoder"] is not None:
        backend = manifest["vocoder"]["backend"]
        manifest["vocoder"]["backend"] = REMOVED_BACKENDS.get(backend, backend)
    return manifest
