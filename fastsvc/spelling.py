"""When two names are one: a Mac types an accent as a letter of its own (NFD), other systems with its letter (NFC)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def key(name: str) -> str:
    """Equal for all ways to spell one name."""
    return unicodedata.normalize("NFC", name)


def loose(name: str) -> str:
    """The same with letter case and spaces around it left out of account."""
    return unicodedata.normalize("NFC", key(name).casefold()).strip()


def twins(names: Iterable[str]) -> tuple[int, int] | None:
    """The places of the first two of ``names`` that are one name, or None."""
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        first = seen.setdefault(key(name), place)
        if first != place:
            return first, place
    return None


def told(name: str) -> str:
    """A name for a message that sets two spellings of it apart."""
    forms = [form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, name)]
    return repr(name) + (f" ({forms[0]})" if len(forms) == 1 else "")
