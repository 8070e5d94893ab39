"""The list of an architecture's compiled kernels, checked before the driver loads any of them."""

from __future__ import annotations

import re

from fastsvc.engine.cuda.driver import TYPES
from fastsvc.kernels.tiles import SHARED_BYTES
from fastsvc.reading import parse_json

LIST = "kernels.json"  # in the engine's part for an architecture
MOST_BYTES = 8 << 20
MOST_KERNELS, MOST_PARAMETERS = 10_000, 64
MOST_WARPS, MOST_REGISTERS = 32, 255
_KEY = re.compile(r"[0-9a-f]{24}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\.cubin")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_POINTER = re.compile(r"\*[a-z][a-z0-9]{0,9}")


def parse(content: bytes, arch: int) -> tuple[dict | None, str]:
    """(the list, or None; its fault, as the end of "the list …")."""
    if len(content) > MOST_BYTES:
        return None, f"has more than {MOST_BYTES >> 20} MB"
    try:
        listing = parse_json(content)
    except ValueError:
        return None, "is not JSON"
    if not isinstance(listing, dict) or not isinstance(listing.get("sources"), str):
        return None, "does not say what it was compiled from"
    kernels = listing.get("kernels")
    if not isinstance(kernels, dict) or len(kernels) > MOST_KERNELS:
        return None, "has no kernels"
    if listing.get("arch") != arch:
        return None, f"is not for sm_{arch}"
    for key, entry in kernels.items():
        wrong_field = "key" if not _KEY.fullmatch(key) else _wrong_field(entry, arch)
        if wrong_field:
            return None, f"has a kernel with a wrong {wrong_field}"
    return listing, ""


def _wrong_field(entry, arch: int) -> str | None:
    """The first field of a kernel's entry whose value cannot be right, or None."""
    if not isinstance(entry, dict):
        return "entry"
    shared = SHARED_BYTES.get(arch, max(SHARED_BYTES.values()))
    checks = {
        "file": lambda value: isinstance(value, str) and _FILE.fullmatch(value),
        "name": lambda value: isinstance(value, str) and _NAME.fullmatch(value),
        "warps": lambda value: _is_int(value) and 1 <= value <= MOST_WARPS,
        "shared": lambda value: _is_int(value) and 0 <= value <= shared,
        "registers": lambda value: _is_int(value) and 1 <= value <= MOST_REGISTERS,
        "parameters": _parameters,
    }
    return next((name for name, fits in checks.items() if not fits(entry.get(name))), None)


def _parameters(value) -> bool:
    if not isinstance(value, list) or len(value) > MOST_PARAMETERS:
        return False
    pairs = all(isinstance(pair, list) and len(pair) == 2 and all(isinstance(s, str) for s in pair) for pair in value)
    return pairs and all(_NAME.fullmatch(name) and (kind in TYPES or _POINTER.fullmatch(kind)) for name, kind in value)


def _is_int(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
