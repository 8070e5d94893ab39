"""Ogg: whether the last page is there and says that it is the last."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsvc.audio.whole import Source

_PAGE = 27 + 255 + 255 * 255  # bytes of the largest
_FIRST, _LAST = 2, 4  # flags
_PAGES = re.compile(rb"OggS\x00[\x00-\x07]")
_BLOCK = 1 << 20


def fault(source: Source, start: int) -> str:
    """Why the stream does not end as it should, or ""."""
    begin = max(start, source.size - 2 * _PAGE)
    tail = source.at(begin, 2 * _PAGE)
    place = len(tail)
    while (place := tail.rfind(b"OggS\x00", 0, place)) >= 0:
        head = tail[place : place + 27]
        if len(head) < 27 or place + 27 + head[26] > len(tail):
            return "cut short: ends within a page of Ogg"
        if head[5] > 7:
            continue  # those letters within a page
        end = place + 27 + head[26] + sum(tail[place + 27 : place + 27 + head[26]])
        if end > len(tail):
            return "cut short: ends within a page of Ogg"
        return "" if head[5] & _LAST else "cut short: its last page is missing"
    return "damaged: no page of Ogg near its end"


def joined(source: Source, start: int) -> bool:
    """Whether a stream begins after others went on: several recordings in one file. Reads all of it."""
    place, went_on = start, False
    while block := source.at(place, _BLOCK + 5):
        for found in _PAGES.finditer(block):
            if found.start() >= _BLOCK:
                break
            first = found[0][5] & _FIRST
            if first and went_on:
                return True
            went_on |= not first
        place += _BLOCK
    return False
