"""FLAC: whether the last frames end where the header says, by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastsvc.audio.whole import Source


class _Header(NamedTuple):
    least: int  # samples of a block
    most: int
    largest: int  # bytes of a frame; 0: unknown
    samples: int  # 0: unknown


def fault(source: Source, start: int) -> str:
    """Why the stream is not what its header promises, or ""."""
    head = source.at(start + 8, 18)
    if len(head) < 18:
        return "cut short: ends within its header"
    number = int.from_bytes
    told = _Header(
        number(head[:2], "big"),
        number(head[2:4], "big"),
        number(head[7:10], "big"),
        number(head[13:18], "big") & (1 << 36) - 1,
    )
    ends = _ends(source, told) if told.samples else set()
    if not ends or told.samples in ends:
        return ""  # or left to the decoder, which checks sums
    if max(ends) < told.samples:
        return f"cut short: holds {max(ends):,} of {told.samples:,} samples that its header promises"
    return f"damaged: holds {max(ends):,} samples where its header promises {told.samples:,}"


def _ends(source: Source, told: _Header) -> set[int]:
    """Samples up to the end of each of the last frames, by their headers."""
    window = (told.largest or 1 << 18) + (1 << 16)  # and tags behind it
    tail = source.at(max(0, source.size - window), window)
    ends, place = set(), len(tail)
    while (place := tail.rfind(b"\xff", 0, place)) >= 0 and len(ends) < 8:
        end = _end(tail[place : place + 16], told)
        if end:
            ends.add(end)
    return ends


def _end(head: bytes, told: _Header) -> int:
    """Samples up to the end of the frame with this header; 0 where there is none."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] & 1:
        return 0
    length = 1 if head[4] < 0x80 else 8 - (head[4] ^ 0xFF).bit_length()  # of the number, coded as UTF-8 is
    place = 4 + length
    if length == 0 or len(head) < place + 5:
        return 0
    number = head[4] if length == 1 else head[4] & (1 << max(0, 7 - length)) - 1
    for byte in head[5:place]:
        number = number << 6 | byte & 63
    code, rate = head[2] >> 4, head[2] & 15
    extra = 1 if code == 6 else 2 if code == 7 else 0
    block = {1: 192, 6: 1, 7: 1}.get(code) or (576 << code - 2 if code < 6 else 256 << code - 8)
    if extra:
        block = int.from_bytes(head[place : place + extra], "big") + 1
    place += extra + (1 if rate == 12 else 2 if rate in (13, 14) else 0)
    if block > told.most or len(head) <= place or _crc8(head[:place]) != head[place]:
        return 0
    return (number if head[1] & 1 else number * told.least) + block


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value
