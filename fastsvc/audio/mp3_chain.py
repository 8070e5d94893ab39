"""MP3: frames that follow each other without a gap, and tags between recordings joined into one file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from fastsvc.audio.mp3_frame import HEAD, FrameHeader, Mp3Tag, after_id3, frame, tag

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes
    from fastsvc.audio.file_part import FilePart

_FIRST, _BLOCK = 1 << 14, 1 << 20  # bytes that are read at once
_MOST_TAGS = 64
_MOST_NAMES = 10_000  # of tags that are examined within damaged data
_LEAST, _FREE = 24, 1 << 13  # bytes: limits of a frame of the "free" format
_ZEROS = 4096  # most zeros that programs write between tags and frames
_LYRICS = 1 << 16
_TAGS = 1 << 16  # most unknown bytes behind the frames
_SURE = 3  # frames that prove that their headers are not accidental bytes
_XING = (b"Xing", b"Info")
_AMONG_FRAMES = re.compile(rb"ID3[\x02-\x04]|Xing|Info|VBRI")
_LONGEST = 10 + 32 + 6  # bytes from a frame's begin to the end of its tag's name, plus an ID3 tag's header


class FrameChain(NamedTuple):
    """``frames`` that follow each other; ``end``: the offset after the last; ``first``: the header of the first.

    ``tag``: of the first frame. ``promised``: the offset after as many frames as the tag says; ``beyond``: the number
    of frames after that; ``free``: bytes of a "free" format frame without padding; ``last``: offset of the last frame.
    """

    frames: int
    end: int
    first: FrameHeader | None
    tag: Mp3Tag | None = None
    promised: int = 0
    beyond: int = 0
    free: int = 0
    last: int = 0


def follow(source: FileBytes | FilePart, start: int) -> FrameChain:
    """The frames from ``start`` on, up to one of another rate or number of channels, or with another tag.

    Reads all of them. Raises OSError.
    """
    head = source.at(start, HEAD)
    first, tagged = frame(head), tag(head)
    if first is None:
        return FrameChain(0, start, None)
    free = 0 if first.size else _free_size(source, start)
    if not first.size and not free:
        return FrameChain(0, start, first)
    steps: dict[bytes, int] = {}  # {header: bytes to the next frame, 0 where it cannot follow the first}
    tag_offset, tagged_frames, end = (
        4 + first.side if first.layer == 1 else -1,
        tagged.frames + 1 if tagged else 0,
        source.size,
    )
    offset, count, block, begin, promised, last, size = start, 0, b"", start, 0, start, _FIRST
    while True:
        position = offset - begin
        if position + HEAD > len(block):
            block, begin, position, size = source.at(offset, size), offset, 0, _BLOCK
        header = block[position : position + 4]
        step = steps.get(header)
        if step is None:
            step = steps[header] = _step(header, first, free)
        if not step or offset + step > end or (count and tag_offset > 0 and _names_tag(block, position, tag_offset)):
            return FrameChain(
                count, offset, first, tagged, promised, count - tagged_frames if promised else 0, free, last
            )
        last, offset, count = offset, offset + step, count + 1
        if count == tagged_frames > 1:
            promised = offset


def _step(header: bytes, first: FrameHeader, free: int) -> int:
    frame_header = frame(header)
    if frame_header is None or not frame_header.like(first) or bool(frame_header.size) == bool(free):
        return 0
    return frame_header.size or free + frame_header.padding


def ends(source: FileBytes | FilePart, chain: FrameChain) -> bool:
    """Whether only tags follow the frames of ``chain``; other bytes may hold more of the recording."""
    offset = after_tags(source, chain.end)
    return chain.first is not None and source.size - offset <= _TAGS and not has_more(source, chain)


def has_more(source: FileBytes | FilePart, chain: FrameChain) -> bool:
    """Whether more frames of the same kind follow the ``chain`` within _BLOCK bytes, after other bytes."""
    if chain.first is None:
        return False
    tail, start = source.at(after_tags(source, chain.end), _BLOCK), -1
    while (start := tail.find(b"\xff", start + 1)) >= 0:
        position, count = start, 0
        while count < _SURE and (step := _step(tail[position : position + 4], chain.first, chain.free)):
            position, count = position + step, count + 1
        if count == _SURE:
            return True
    return False


def reservoir(source: FileBytes | FilePart, offset: int) -> bool:
    """Whether the data of the layer III frame at ``offset`` begin in earlier frames, so it is not a first frame."""
    head = source.at(offset, 8)
    first = frame(head)
    if first is None or first.layer != 1 or len(head) < 8:
        return False
    side = 4 if head[1] & 1 else 6  # after a checksum
    begin = head[side] << 8 | head[side + 1]
    return bool(begin >> 7 if first.version == 3 else begin >> 8)


def after_tags(source: FileBytes | FilePart, offset: int) -> int:
    """The offset after all tags that follow each other from ``offset`` on: ID3, APE, Lyrics3, and some zeros."""
    for _ in range(_MOST_TAGS):
        after = _after_tag(source, offset)
        if not offset < after <= source.size:
            break
        offset = after
    return offset


def next_tagged(source: FileBytes | FilePart, offset: int, last: int) -> int:
    """The first offset from ``offset`` to ``last`` of a tag that frames follow, where a recording begins; -1: none."""
    begin, matches = offset, 0
    while begin < last and (block := source.at(begin, min(_BLOCK, last - begin) + _LONGEST)):
        for match in _AMONG_FRAMES.finditer(block):
            found_at = begin + match.start()
            matches += 1
            if found_at >= min(begin + _BLOCK, last) or matches > _MOST_NAMES:
                break
            starts = [found_at] if match[0][:3] == b"ID3" else [found_at - ahead for ahead in (36, 38, 21, 23, 13, 15)]
            for start in starts:
                if start >= offset and _begins(source, start):
                    return start
        begin += _BLOCK
    return -1


def _begins(source: FileBytes | FilePart, start: int) -> bool:
    offset = after_id3(source, start)
    if offset == start and tag(source.at(start, HEAD)) is None:
        return False
    first = frame(source.at(offset, 4))
    return first is not None and (not first.size or frame(source.at(offset + first.size, 4)) is not None)


def _names_tag(block: bytes, at: int, tag_offset: int) -> bool:
    startswith = block.startswith
    return startswith(_XING, at + tag_offset) or startswith(_XING, at + tag_offset + 2) or startswith(b"VBRI", at + 36)


def _free_size(source: FileBytes | FilePart, start: int) -> int:
    """Bytes of a frame of the "free" format, without padding, from the distance of the next frames; 0: none follow."""
    block = source.at(start, 2 * _FREE)
    first = frame(block)
    if first is None:
        return 0
    offset = max(4 + first.side, _LEAST)
    while 0 <= (offset := block.find(block[:2], offset)) < _FREE:
        size, second = offset - first.padding, frame(block[offset : offset + 4])
        if second and not second.size and second.like(first):
            third = frame(block[offset + size + second.padding :][:4])
            if (third and not third.size and third.like(first)) or start + offset + size >= source.size:
                return size
        offset += 1
    return 0


def _after_tag(source: FileBytes | FilePart, offset: int) -> int:
    head = source.at(offset, 32)
    if head.startswith(b"ID3"):
        return after_id3(source, offset)
    if head.startswith(b"TAG+"):
        return offset + 227
    if head.startswith(b"TAG"):
        return offset + 128
    if head.startswith(b"APETAGEX") and len(head) == 32:  # without this header it would begin with an item
        return offset + 32 + int.from_bytes(head[12:16], "little")
    if head.startswith(b"LYRICSBEGIN"):
        ends = re.search(rb"LYRICSEND|LYRICS200", source.at(offset, _LYRICS))
        return offset + ends.end() if ends else offset
    zeros = source.at(offset, _ZEROS + 1)
    count = len(zeros) - len(zeros.lstrip(b"\0"))
    return offset + count if 0 < count <= _ZEROS else offset
