"""Checks of an engine's manifest: the types of its values, their ranges, and that they fit each other.

Engines travel as folders, so a manifest may be a stranger's file, as a checkpoint may. It is checked completely each
time a folder is opened; keys that are not named here are ignored.
"""

from __future__ import annotations

import itertools
import re

from fastsvc.artifact import manifest_configs
from fastsvc.config.limits import F0_HZ, INDEX_LISTS, INDEX_VECTORS, NAMES, STEPS
from fastsvc.config.shown import shown
from fastsvc.config.stores import STORES

REQUIRED = ("files", "acoustic", "speakers", "schedules", "levels", "sampler", "source")
# keys whose value may be null
NULLABLE = ("input_peak", "depth", "vocoder", "content", "index", "check", "gpu_precision", "default_speaker")
PRECISIONS = ("fp32", "fp16", "bf16")
MOST_FILES = 100_000
LEVEL = 1e5  # the highest noise level, or step of a chain
TEXT = 1000  # characters of a name or note
FINGERPRINT = 9  # numbers in a layer's fingerprint: selfcheck.PRINTS and one more


def fault(manifest: dict) -> str | None:
    """The first fault, as the end of a sentence "the manifest …", or None."""
    missing = [key for key in REQUIRED if manifest.get(key) is None]
    if missing:
        return f"lacks {', '.join(missing)}"
    for key, is_valid in _CHECKS.items():
        absent = key not in manifest or (manifest[key] is None and key in NULLABLE)
        if not absent and not is_valid(manifest[key]):
            return f"has a wrong {key}: {shown(manifest[key])}"
    schedules, jumps = manifest["schedules"], manifest["sampler"] == "consistency"
    # a diffusion model's jumps end at the last level of the row, a flow's at 0 after it
    evaluated = (row if jumps and row[-1:] != [0.0] else row[:-1] for row in schedules.values())
    if not all(set(row) <= set(manifest["levels"]) for row in evaluated):
        return "has schedules with levels that were not built in"
    if manifest.get("default_steps", int(next(iter(schedules)))) not in map(int, schedules):
        return f"has default_steps {shown(manifest['default_steps'])} that were not built in"
    return manifest_configs.fault(manifest)


def _number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63


def _within(low: float, high: float):
    return lambda value: _number(value) and low <= value <= high


def _integer(low: int, high: int):
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _text(value) -> bool:
    return isinstance(value, str) and len(value) <= TEXT


def _list(is_valid, most: int):
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(is_valid, value))


def _schedules(value) -> bool:
    """Steps → falling levels: as many as steps, or one or two more with the last."""
    if not isinstance(value, dict) or not 0 < len(value) <= STEPS[1]:
        return False
    return all(_schedule(count, row) for count, row in value.items())


def _schedule(count: str, row) -> bool:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", count) or not _list(_within(0, LEVEL), STEPS[1] + 2)(row):
        return False
    return int(count) <= len(row) <= int(count) + 2 and all(a > b for a, b in itertools.pairwise(row))


def _origin(value) -> bool:
    if not isinstance(value, dict) or not {"file", "format", "kind", "step"} <= value.keys():
        return False
    texts = [value[key] for key in ("file", "format", "kind")]
    texts += [] if value.get("encoder") is None else [value["encoder"]]
    return all(map(_text, texts)) and _integer(0, 2**63)(value["step"]) and _list(_text, 1000)(value.get("notes", []))


def _part(value) -> bool:
    """The vocoder's or the content encoder's entry."""
    return isinstance(value, dict) and isinstance(value.get("config"), dict) and _origin(value.get("source"))


def _index(value) -> bool:
    """The entry of an index: its origin and its sizes."""
    if not isinstance(value, dict) or not all(_text(value.get(key)) for key in ("file", "sha256")):
        return False
    return _integer(*INDEX_VECTORS)(value.get("vectors")) and _integer(*INDEX_LISTS)(value.get("lists"))


def _measured(value) -> bool:
    """The values that `inspect` prints: numbers for each part, the machine and the date."""
    if not isinstance(value, dict):
        return False
    parts = [value[name] for name in ("denoiser", "latent", "vocoder") if name in value]
    numbers = all(isinstance(part, dict) and all(map(_number, _figures(part))) for part in parts)
    machine = value.get("machine", {})
    has_machine = isinstance(machine, dict) and (not parts or {"cpu", "threads"} <= machine.keys())
    return numbers and has_machine and (not parts or _text(value.get("date")))


def _figures(part: dict) -> list:
    return [part.get(name) for name in ("audio_s", "compiled_s", "speedup")]


def _check(value) -> bool:
    """The self-check's values: a level, fingerprints of layers and audio (fastsvc/engine/cuda/selfcheck.py)."""
    if not isinstance(value, dict) or not _number(value.get("level")) or not isinstance(value.get("layers"), list):
        return False
    rows = [*value["layers"], *([["audio", value["audio"]]] if value.get("audio") else [])]
    return all(isinstance(row, list) and len(row) == 2 and _text(row[0]) and _fingerprint(row[1]) for row in rows)


def _fingerprint(value) -> bool:
    return _list(_number, FINGERPRINT)(value) and len(value) == FINGERPRINT


_CHECKS = {
    "files": lambda value: isinstance(value, dict) and len(value) <= MOST_FILES,
    "acoustic": lambda value: isinstance(value, dict),
    "source": _origin,
    "speakers": lambda value: value and _list(_text, NAMES[1])(value),
    "speaker_base": _integer(-(10**6), 10**6),
    "default_speaker": _integer(0, NAMES[1] - 1),
    "speaker_f0_hz": _list(lambda f0_hz: _number(f0_hz) and (f0_hz == 0 or _within(*F0_HZ)(f0_hz)), NAMES[1]),
    "input_peak": lambda value: _within(0, 1)(value) and value > 0,
    "precision": lambda value: value in PRECISIONS,
    "gpu_precision": lambda value: value in PRECISIONS,
    "store": lambda value: value in STORES,
    "sampler": lambda value: isinstance(value, str),
    "depth": _integer(2, 100_000),
    "default_steps": _integer(*STEPS),
    "schedules": _schedules,
    "levels": lambda value: _list(_within(0, LEVEL), STEPS[1] ** 2)(value) and len(value) > 0,
    "vocoder": _part,
    "content": _part,
    "index": _index,
    "measured": _measured,
    "check": _check,
}
