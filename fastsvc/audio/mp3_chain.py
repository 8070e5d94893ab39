"""MP3: frames that follow each other without a gap, and what may lie between two recordings joined into one file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from fastsvc.audio.mp3_frame import HEAD, Frame, Tag, after_id3, frame, tag

if TYPE_CHECKING:
    from fastsvc.audio.source import Source
    from fastsvc.audio.view import Part

_FIRST, _BLOCK = 1 << 14, 1 << 20  # bytes that are read at once
_MOST_TAGS = 64
_MOST_NAMES = 10_000  # of tags, that are looked at within what is damaged
_LEAST, _FREE = 24, 1 << 13  # bytes between which a second frame of the "free" format begins
_ZEROS = 4096  # that programs put between tags and frames, at most
_LYRICS = 1 << 16
_TAGS = 1 << 16  # bytes that nobody knows, behind the frames, at most
_SURE = 3  # frames that prove that their headers are no accident
_XING = (b"Xing", b"Info")
_AMONG_FRAMES = re.compile(rb"ID3[\x02-\x04]|Xing|Info|VBRI")
_LONGEST = 10 + 32 + 6  # bytes from a frame's begin to the end of its tag's name, and of an ID3 tag's header


class Chain(NamedTuple):
    """``frames`` that follow each other; ``end``: the place after the last; ``first``: the header of the first.

    ``tag``: that of the first frame. ``promised``: the place after as many frames as it says, ``beyond``: how many
    more there are; ``free``: bytes of a frame of the "free" format, without padding; ``last``: place of the last frame.
    """

    frames: int
    end: int
    first: Frame | None
    tag: Tag | None = None
    promised: int = 0
    beyond: int = 0
    free: int = 0
    last: int = 0


def follow(source: Source | Part, start: int) -> Chain:
    """The frames from ``start`` on, up to one of another rate or number of channels, or with another tag.

    Reads all of them. Raises OSError.
    """
    head = source.at(start, HEAD)
    first, named = frame(head), tag(head)
    if first is None:
        return Chain(0, start, None)
    free = 0 if first.size else _free(source, start)
    if not first.size and not free:
        return Chain(0, start, first)
    steps: dict[bytes, int] = {}  # by header: the bytes to the next frame, 0 where it cannot follow the first
    tags, goal, end = 4 + first.side if first.layer == 1 else -1, named.frames + 1 if named else 0, source.size
    place, count, block, begin, promised, last, size = start, 0, b"", start, 0, start, _FIRST
    while True:
        at = place - begin
        if at + HEAD > len(block):
            block, begin, at, size = source.at(place, size), place, 0, _BLOCK
        header = block[at : at + 4]
        step = steps.get(header)
        if step is None:
            step = steps[header] = _step(header, first, free)
        if not step or place + step > end or (count and tags > 0 and _names_tag(block, at, tags)):
            return Chain(count, place, first, named, promised, count - goal if promised else 0, free, last)
        last, place, count = place, place + step, count + 1
        if count == goal > 1:
            promised = place


def _step(header: bytes, first: Frame, free: int) -> int:
    found = frame(header)
    if found is None or not found.like(first) or bool(found.size) == bool(free):
        return 0
    return found.size or free + found.padding


def ends(source: Source | Part, chain: Chain) -> bool:
    """Whether nothing but tags follows the frames of ``chain``: what else it is may hold more of the recording."""
    place = after_tags(source, chain.end)
    return chain.first is not None and source.size - place <= _TAGS and not more(source, chain)


def more(source: Source | Part, chain: Chain) -> bool:
    """Whether further frames of its kind follow the ``chain``, after something else: not far behind."""
    if chain.first is None:
        return False
    tail, at = source.at(after_tags(source, chain.end), _BLOCK), -1
    while (at := tail.find(b"\xff", at + 1)) >= 0:
        here, count = at, 0
        while count < _SURE and (step := _step(tail[here : here + 4], chain.first, chain.free)):
            here, count = here + step, count + 1
        if count == _SURE:
            return True
    return False


def reservoir(source: Source | Part, place: int) -> bool:
    """Whether the frame of layer III at ``place`` begins in frames before it, so that it is not the first of any."""
    head = source.at(place, 8)
    first = frame(head)
    if first is None or first.layer != 1 or len(head) < 8:
        return False
    side = 4 if head[1] & 1 else 6  # after a checksum
    begin = head[side] << 8 | head[side + 1]
    return bool(begin >> 7 if first.version == 3 else begin >> 8)


def after_tags(source: Source | Part, place: int) -> int:
    """The place after all tags that follow each other from ``place`` on: ID3, APE, Lyrics3, and some zeros."""
    for _ in range(_MOST_TAGS):
        after = _after_tag(source, place)
        if not place < after <= source.size:
            break
        place = after
    return place


def next_tagged(source: Source | Part, place: int, last: int) -> int:
    """Where from ``place`` to ``last`` a recording begins: at a tag after which frames follow. -1: nowhere."""
    begin, looked = place, 0
    while begin < last and (block := source.at(begin, min(_BLOCK, last - begin) + _LONGEST)):
        for found in _AMONG_FRAMES.finditer(block):
            at = begin + found.start()
            looked += 1
            if at >= min(begin + _BLOCK, last) or looked > _MOST_NAMES:
                break
            starts = [at] if found[0][:3] == b"ID3" else [at - ahead for ahead in (36, 38, 21, 23, 13, 15)]
            for start in starts:
                if start >= place and _begins(source, start):
                    return start
        begin += _BLOCK
    return -1


def _begins(source: Source | Part, start: int) -> bool:
    place = after_id3(source, start)
    if place == start and tag(source.at(start, HEAD)) is None:
        return False
    first = frame(source.at(place, 4))
    return first is not None and (not first.size or frame(source.at(place + first.size, 4)) is not None)


def _names_tag(block: bytes, at: int, tags: int) -> bool:
    named = block.startswith
    return named(_XING, at + tags) or named(_XING, at + tags + 2) or named(b"VBRI", at + 36)


def _free(source: Source | Part, start: int) -> int:
    """Bytes of a frame of the "free" format, without padding, by the frames that follow; 0: none do."""
    block = source.at(start, 2 * _FREE)
    first = frame(block)
    if first is None:
        return 0
    place = max(4 + first.side, _LEAST)
    while 0 <= (place := block.find(block[:2], place)) < _FREE:
        size, second = place - first.padding, frame(block[place : place + 4])
        if second and not second.size and second.like(first):
            third = frame(block[place + size + second.padding :][:4])
            if (third and not third.size and third.like(first)) or start + place + size >= source.size:
                return size
        place += 1
    return 0


def _after_tag(source: Source | Part, place: int) -> int:
    head = source.at(place, 32)
    if head.startswith(b"ID3"):
        return after_id3(source, place)
    if head.startswith(b"TAG+"):
        return place + 227
    if head.startswith(b"TAG"):
        return place + 128
    if head.startswith(b"APETAGEX") and len(head) == 32:  # without its header it would begin with an item
        return place + 32 + int.from_bytes(head[12:16], "little")
    if head.startswith(b"LYRICSBEGIN"):
        ends = re.search(rb"LYRICSEND|LYRICS200", source.at(place, _LYRICS))
        return place + ends.end() if ends else place
    zeros = source.at(place, _ZEROS + 1)
    count = len(zeros) - len(zeros.lstrip(b"\0"))
    return place + count if 0 < count <= _ZEROS else place
