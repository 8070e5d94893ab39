"""What an engine's manifest must hold: the kinds of its values, and that they fit each other.

Engines travel as folders, so a manifest is as much a stranger's file as a checkpoint is. Its configurations check
themselves (fastsvc/config), its files are checked against their sha256; keys that are not named here are let through.
"""

from __future__ import annotations

NEEDED = ("files", "acoustic", "speakers", "schedules", "levels", "sampler", "source")


def fault(manifest: dict) -> str | None:
    """The first thing that is wrong, as the end of "the manifest …", or None."""
    missing = [key for key in NEEDED if manifest.get(key) is None]
    if missing:
        return f"lacks {', '.join(missing)}"
    for key, right in _RIGHT.items():
        if manifest.get(key) is not None and not right(manifest[key]):
            return f"has a wrong {key}"
    schedules, end = manifest["schedules"], None if manifest["sampler"] == "consistency" else -1
    if not all(set(row[:end]) <= set(manifest["levels"]) for row in schedules.values()):
        return "has schedules with levels that were not built in"
    if manifest.get("default_steps") not in (None, *map(int, schedules)):
        return "has default_steps that were not built in"
    return None


def _number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(value) -> bool:
    return isinstance(value, list) and all(map(_number, value))


def _schedules(value) -> bool:
    rows = isinstance(value, dict) and value and all(_numbers(row) and row for row in value.values())
    return bool(rows) and all(count.isascii() and count.isdigit() for count in value)


def _origin(value) -> bool:
    return isinstance(value, dict) and {"file", "format", "kind", "step"} <= value.keys()


def _part(value) -> bool:
    """The vocoder's or the content encoder's entry."""
    if not isinstance(value, dict) or not isinstance(value.get("kind", ""), str):
        return False
    return isinstance(value.get("config"), dict) and _origin(value.get("source"))


_RIGHT = {
    "files": lambda value: isinstance(value, dict),
    "acoustic": lambda value: isinstance(value, dict),
    "source": _origin,
    "speakers": lambda value: isinstance(value, list) and value and all(isinstance(name, str) for name in value),
    "speaker_base": _whole,
    "speaker_f0_hz": _numbers,
    "input_peak": _number,
    "precision": lambda value: isinstance(value, str),
    "sampler": lambda value: isinstance(value, str),
    "depth": _number,
    "default_steps": _whole,
    "schedules": _schedules,
    "levels": _numbers,
    "vocoder": _part,
    "content": _part,
    "measured": lambda value: isinstance(value, dict),
}
