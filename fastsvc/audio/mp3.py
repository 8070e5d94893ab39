"""MP3: headers of frames, and what the tag in the first of them promises of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastsvc.audio.whole import Source

_RATES = ((11025, 12000, 8000), None, (22050, 24000, 16000), (44100, 48000, 32000))  # by version 2.5, -, 2, 1
_KBITS = {
    (3, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),  # version 1, layer I
    (3, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_KBITS[2, 1] = _KBITS[2, 2]
_MOST_TAGS = 8
_FEW = 4  # frames
_BLOCK = 1 << 20
_TAGS = 1 << 16  # bytes of tags behind the frames, at most
_ESTIMATED_S = 0.1  # how far off the length may be that is estimated


class Frame(NamedTuple):
    """What the header of a frame says. ``size`` in bytes, 0 in the "free" format."""

    rate_hz: int
    mono: bool
    version: int
    layer: int
    size: int


def after_id3(source: Source, place: int = 0) -> int:
    """Where the content begins: after any ID3v2 tags at ``place``."""
    for _ in range(_MOST_TAGS):
        head = source.at(place, 10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 127:
            break
        place += 10 + sum(byte << 7 * (3 - i) for i, byte in enumerate(head[6:])) + (10 if head[5] & 16 else 0)
    return place


def frame(head: bytes) -> Frame | None:
    """The frame header at the beginning of ``head``, if there is one."""
    if len(head) < 4 or head[0] != 255 or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, bits, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 0 or bits == 15 or rate == 3:
        return None
    rate_hz, kbits = _RATES[version][rate], _KBITS[max(version, 2), layer][bits]
    padding = head[2] >> 1 & 1
    if layer == 3:
        size = (12000 * kbits // rate_hz + padding) * 4 if kbits else 0
    else:
        size = (72000 if layer == 1 and version != 3 else 144000) * kbits // rate_hz + padding if kbits else 0
    return Frame(rate_hz, head[3] >> 6 == 3, version, layer, size)


def tagged(source: Source, start: int) -> tuple[int, int]:
    """(frames, bytes from ``start`` on) that a Xing, Info or VBRI tag in the first frame promises; 0: not said."""
    head = source.at(start, 256)
    first = frame(head)
    if first is None:
        return 0, 0
    for place in (4 + _side(first), 6 + _side(first)):  # with a checksum some programs put it later
        if head[place : place + 4] in (b"Xing", b"Info"):
            flags, place = int.from_bytes(head[place + 4 : place + 8], "big"), place + 8
            count = int.from_bytes(head[place : place + 4], "big") if flags & 1 else 0
            place += 4 if flags & 1 else 0
            return count, int.from_bytes(head[place : place + 4], "big") if flags & 2 else 0
    if head[36:40] == b"VBRI":
        return int.from_bytes(head[50:54], "big"), int.from_bytes(head[46:50], "big")
    return 0, 0


def fault(source: Source, start: int) -> str:
    """Why the stream is not what its header promises, or ""."""
    first = frame(source.at(start, 4))
    if first is None:
        return ""  # after a tag: left to the decoder
    follows = frame(source.at(start + first.size, 4)) if first.size else first
    if follows is None and start + first.size < source.size:
        return "not an audio file: what looks like MP3 ends after one frame"
    _, size = tagged(source, start)
    if size > source.size:  # some count tags before the frames in: what is missing then is seen when decoding
        return f"cut short: holds {source.size - start:,} of {size:,} bytes that its header promises"
    next_one = after_id3(source, start + size)
    # Some programs do not count the frame of the tag itself, so that the last frame lies there.
    another = frame(source.at(next_one, 4)) if size and source.size - next_one > _FEW * first.size else None
    if another and another[:1] + another[2:4] == first[:1] + first[2:4]:
        return "holds more than its header says: several recordings joined into one file"
    return ""


def missing_tag(source: Source, start: int) -> bytes:
    """A first frame with a Xing tag that says the true length, for a recording without one; empty where it has one.

    Also empty where something else lies between the frames: then nobody knows.
    """
    head = bytearray(source.at(start, 4))
    first = frame(head)
    if first is None or not first.size or first.layer != 1 or tagged(source, start) != (0, 0):
        return b""
    count, end = _walk(source, start)
    if end < source.size - _TAGS or count < 2:
        return b""
    tag = 4 + _side(first)
    head[1], head[2] = head[1] | 1, head[2] & ~2  # neither checksum nor padding
    while frame(head).size < tag + 16:
        head[2] += 16  # the next bit rate
    size = frame(head).size
    numbers = (3).to_bytes(4, "big") + count.to_bytes(4, "big") + (end - start + size).to_bytes(4, "big")
    return (bytes(head) + bytes(tag - 4) + b"Xing" + numbers).ljust(size, b"\0")


def _side(first: Frame) -> int:
    return (17 if first.mono else 32) if first.version == 3 else (9 if first.mono else 17)


def unread(source: Source, start: int, promised: int, samples: int) -> str:
    """What is wrong where ``samples`` were decoded and libsndfile ``promised`` so many, or "". Reads all headers.

    Without a tag its promise is an estimate, often far from the truth, and no more than that is decoded.
    """
    first, count = frame(source.at(start, 4)), tagged(source, start)[0]
    walked, end = _walk(source, start)
    if first is None or not walked or count:
        if promised > samples:
            return f"damaged or cut short: holds {samples:,} of {promised:,} samples that its header promises"
        return "damaged: holds more than its header promises" if count and walked > count + _FEW else ""
    there = walked * (384 if first.layer == 3 else 576 if first.layer == 1 and first.version != 3 else 1152)
    if end < source.size - _TAGS:  # something else lies between its frames
        there = max(there, promised - round(_ESTIMATED_S * first.rate_hz))
    if samples < there - 2 * 1152:
        return f"its header does not say how long it is, and only {samples:,} of {there:,} samples can be read"
    return ""


def _walk(source: Source, start: int) -> tuple[int, int]:
    """(number of frames that follow each other from ``start`` on, place after them)."""
    place, count, block, begin = start, 0, b"", start
    while True:
        if place - begin + 4 > len(block):
            block, begin = source.at(place, _BLOCK), place
        found = frame(block[place - begin : place - begin + 4])
        if found is None or not found.size or place + found.size > source.size:
            return count, place
        place, count = place + found.size, count + 1
