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
    side = (17 if first.mono else 32) if first.version == 3 else (9 if first.mono else 17)
    for place in (4 + side, 6 + side):  # with a checksum some programs put it later
        if head[place : place + 4] in (b"Xing", b"Info"):
            flags, place = head[place + 7], place + 8
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
    another = frame(source.at(after_id3(source, start + size), 4)) if size else None
    if another and another[:1] + another[2:4] == first[:1] + first[2:4]:
        return "holds more than its header says: several recordings joined into one file"
    return ""
