"""Ogg: whether the last page exists and is marked as the last; recordings joined into one file; FLAC inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from fastsvc.audio.file_part import FilePart

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes

_PAGE = 27 + 255 + 255 * 255  # bytes of the largest page
_FIRST, _LAST = 2, 4  # flags
_PAGES = re.compile(rb"OggS\x00[\x00-\x07]")
_BLOCK = 1 << 20
_NO_POSITION = b"\xff" * 8  # granule position of a page in which no packet ends
_FLAC = b"\x7fFLAC"
_BEFORE_FLAC = 9  # bytes


def fault(source: FileBytes | FilePart, start: int) -> str:
    """Why the stream does not end as it should, or ""."""
    begin = max(start, source.size - 2 * _PAGE)
    tail = source.at(begin, 2 * _PAGE)
    offset = len(tail)
    while (offset := tail.rfind(b"OggS\x00", 0, offset)) >= 0:
        head = tail[offset : offset + 27]
        if len(head) < 27 or offset + 27 + head[26] > len(tail):
            return "cut short: ends within a page of Ogg"
        if head[5] > 7:
            continue  # these bytes lie within a page
        lengths = tail[offset + 27 : offset + 27 + head[26]]
        if offset + 27 + head[26] + sum(lengths) > len(tail):
            return "cut short: ends within a page of Ogg"
        if not head[5] & _LAST:
            return "cut short: its last page is missing"
        without_position = head[6:14] == _NO_POSITION and any(length < 255 for length in lengths)
        return "damaged: its last page does not say where it ends" if without_position else ""
    return "damaged: no page of Ogg near its end"


def links(source: FileBytes | FilePart, start: int) -> list[int]:
    """Offsets of the recordings that were joined: streams that begin after others continued. Reads the whole file."""
    starts, offset, continued = [start], start, False
    while block := source.at(offset, _BLOCK + 27):
        for page in _PAGES.finditer(block):
            head = block[page.start() : page.start() + 27]
            if page.start() >= _BLOCK:
                break
            if not head[5] & _FIRST:
                continued = True
            elif continued and head[18:22] == bytes(4) and _page_follows(source, offset + page.start()):
                starts.append(offset + page.start())
                continued = False
        offset += _BLOCK
    return starts


def _page_follows(source: FileBytes | FilePart, offset: int) -> bool:
    """Whether another page follows the one at ``offset``; otherwise these bytes only look like a page."""
    head = source.at(offset, 27 + 255)
    count = head[26] if len(head) > 26 else 0
    after = offset + 27 + count + sum(head[27 : 27 + count])
    return source.at(after, 5) == b"OggS\0"


class _Page(NamedTuple):
    serial: bytes
    begin: int  # of its content
    end: int


def flac_inside(source: FileBytes | FilePart, start: int) -> FilePart | None:
    """The FLAC file in the content of the pages, or None: libsndfile cannot read FLAC in Ogg."""
    pages = _pages(source, start)
    first = next(pages, None)
    if first is None or source.at(first.begin, len(_FLAC)) != _FLAC:
        return None
    more = ((page.begin, page.end) for page in pages if page.serial == first.serial)
    return FilePart(source, (first.begin + _BEFORE_FLAC, first.end), *more)


def _pages(source: FileBytes | FilePart, offset: int) -> Iterator[_Page]:
    """The pages from ``offset`` up to the first damaged one."""
    while True:
        head = source.at(offset, 27 + 255)
        if len(head) < 27 or head[:5] != b"OggS\x00" or len(head) < 27 + head[26]:
            return
        begin = offset + 27 + head[26]
        offset = begin + sum(head[27 : 27 + head[26]])
        yield _Page(head[14:18], begin, offset)
