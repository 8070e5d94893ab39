"""Ogg: whether the last page is there and says that it is the last; recordings joined into one file; FLAC inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from fastsvc.audio.view import Part

if TYPE_CHECKING:
    from fastsvc.audio.source import Source

_PAGE = 27 + 255 + 255 * 255  # bytes of the largest
_FIRST, _LAST = 2, 4  # flags
_PAGES = re.compile(rb"OggS\x00[\x00-\x07]")
_BLOCK = 1 << 20
_NOWHERE = b"\xff" * 8  # the place of a page in which nothing ends
_FLAC = b"\x7fFLAC"
_BEFORE_FLAC = 9  # bytes


def fault(source: Source | Part, start: int) -> str:
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
        lengths = tail[place + 27 : place + 27 + head[26]]
        if place + 27 + head[26] + sum(lengths) > len(tail):
            return "cut short: ends within a page of Ogg"
        if not head[5] & _LAST:
            return "cut short: its last page is missing"
        unplaced = head[6:14] == _NOWHERE and any(length < 255 for length in lengths)
        return "damaged: its last page does not say where it ends" if unplaced else ""
    return "damaged: no page of Ogg near its end"


def links(source: Source | Part, start: int) -> list[int]:
    """Where the recordings begin that were joined into one: streams that begin after others went on. Reads all."""
    found, place, went_on = [start], start, False
    while block := source.at(place, _BLOCK + 27):
        for page in _PAGES.finditer(block):
            head = block[page.start() : page.start() + 27]
            if page.start() >= _BLOCK:
                break
            if not head[5] & _FIRST:
                went_on = True
            elif went_on and head[18:22] == bytes(4) and _goes_on(source, place + page.start()):
                found.append(place + page.start())
                went_on = False
        place += _BLOCK
    return found


def _goes_on(source: Source | Part, place: int) -> bool:
    """Whether another page follows the one at ``place``: else something only begins as a page does."""
    head = source.at(place, 27 + 255)
    count = head[26] if len(head) > 26 else 0
    after = place + 27 + count + sum(head[27 : 27 + count])
    return source.at(after, 5) == b"OggS\0"


class _Page(NamedTuple):
    serial: bytes
    begin: int  # of its content
    end: int


def flac_inside(source: Source | Part, start: int) -> Part | None:
    """The FLAC file whose parts are the content of the pages, if it is one: libsndfile cannot read it there."""
    pages = _pages(source, start)
    first = next(pages, None)
    if first is None or source.at(first.begin, len(_FLAC)) != _FLAC:
        return None
    more = ((page.begin, page.end) for page in pages if page.serial == first.serial)
    return Part(source, (first.begin + _BEFORE_FLAC, first.end), *more)


def _pages(source: Source | Part, place: int) -> Iterator[_Page]:
    """Up to the first that is damaged."""
    while True:
        head = source.at(place, 27 + 255)
        if len(head) < 27 or head[:5] != b"OggS\x00" or len(head) < 27 + head[26]:
            return
        begin = place + 27 + head[26]
        place = begin + sum(head[27 : 27 + head[26]])
        yield _Page(head[14:18], begin, place)
