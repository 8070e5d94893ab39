"""Names that differ only in spelling: a Mac writes an accent as a separate character (NFD), others do not (NFC)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def key(name: str) -> str:
    """Equal for all ways to spell one name."""
    return unicodedata.normalize("NFC", name)


def loose_key(name: str) -> str:
    """As :func:`key`, but also equal for all letter cases and with or without spaces around the name."""
    return unicodedata.normalize("NFC", key(name).casefold()).strip()


def first_duplicate(names: Iterable[str]) -> tuple[int, int] | None:
    """The positions of the first two of ``names`` with an equal :func:`key`, or None."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        first = seen.setdefault(key(name), position)
        if first != position:
            return first, position
    return None


def quoted(name: str) -> str:
    """The name in quotes, with its form (NFC or NFD) where that tells two spellings apart."""
    forms = [form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, name)]
    return repr(name) + (f" ({forms[0]})" if len(forms) == 1 else "")
