"""Names of files made from what people call things: safe on any system, short enough, and apart from each other."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from fastsvc import spelling

TAG_CHARACTERS = 60
_UNSAFE = re.compile(r'[<>:"/\\|?*]')  # what one system or another takes for something else
# Windows' devices, with any ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])( *\..*)?", re.IGNORECASE)


def safe_tag(text: str) -> str:
    """``text`` as a part of a file name on any system, or "" where nothing is left of it."""
    text = _UNSAFE.sub("_", spelling.key(text))
    plain = "".join("_" if unicodedata.category(c)[0] in "CZ" and c != " " else c for c in text)
    plain = plain.lstrip(". ")
    end = min(len(plain), TAG_CHARACTERS)
    while 0 < end < len(plain) and unicodedata.combining(plain[end]):  # a letter stays with its accents
        end -= 1
    plain = plain[:end].rstrip(". ")
    return f"_{plain}" if _RESERVED.fullmatch(plain) else plain


def safe_tags(texts: Iterable[str], otherwise: str = "voice") -> list[str]:
    """:func:`safe_tag` of each, no two of which any file system takes for one: later ones get a number."""
    tags: list[str] = []
    taken: set[str] = set()
    for text in texts:
        plain = tag = safe_tag(text) or otherwise
        number = 2
        while spelling.loose(tag) in taken:
            tag, number = f"{plain}-{number}", number + 1
        taken.add(spelling.loose(tag))
        tags.append(tag)
    return tags


def fitted(name: str, most: int = 255) -> str:
    """``name`` if it has at most ``most`` bytes, else its beginning, a short hash of all of it, and its suffix."""
    if len(os.fsencode(name)) <= most:
        return name
    suffix = Path(name).suffix if len(os.fsencode(Path(name).suffix)) <= 16 else ""
    tail = "~" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8] + suffix
    end = len(name) - len(suffix)
    while len(os.fsencode(name[:end])) > most - len(os.fsencode(tail)):
        end -= 1
    while end and unicodedata.combining(name[end]):  # a letter stays with its accents
        end -= 1
    return name[:end].rstrip(" .") + tail
