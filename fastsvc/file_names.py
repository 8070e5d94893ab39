"""File names from names of people and songs: safe on any system, short enough, and distinct."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from fastsvc import spelling

TAG_CHARACTERS = 60
_UNSAFE = re.compile(r'[<>:"/\\|?*]')  # special characters on one system or another
# Windows' devices, with any ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])( *\..*)?", re.IGNORECASE)


def safe_tag(text: str) -> str:
    """``text`` as a part of a file name on any system, or "" where no character remains."""
    text = _UNSAFE.sub("_", spelling.key(text))
    plain = "".join("_" if unicodedata.category(c)[0] in "CZ" and c != " " else c for c in text)
    plain = plain.lstrip(". ")
    end = min(len(plain), TAG_CHARACTERS)
    while 0 < end < len(plain) and unicodedata.combining(plain[end]):  # a letter stays with its accents
        end -= 1
    plain = plain[:end].rstrip(". ")
    return f"_{plain}" if _RESERVED.fullmatch(plain) else plain


def safe_tags(texts: Iterable[str], default: str = "voice") -> list[str]:
    """Distinct :func:`safe_tag` of each on any file system: later duplicates get a number."""
    tags: list[str] = []
    used_keys: set[str] = set()
    for text in texts:
        plain = tag = safe_tag(text) or default
        number = 2
        while spelling.loose_key(tag) in used_keys:
            tag, number = f"{plain}-{number}", number + 1
        used_keys.add(spelling.loose_key(tag))
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
