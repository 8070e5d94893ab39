"""FLAC: whether the last frames end where the header says, by their numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastsvc.audio.source import Source
    from fastsvc.audio.view import Part

_SAMPLES = 18  # place of the 8 bytes in whose lower 36 bits is the number of samples
_ALL = (1 << 36) - 1
_LONGEST = _ALL - (1 << 16)  # samples: more say that nobody knew
_DENSEST = 1 << 13  # samples to a byte: no encoder is so good
_BEGINS = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_BLOCK = 1 << 20
_MOST_BLOCKS = 1 << 12


class _Header(NamedTuple):
    least: int  # samples of a block
    most: int
    largest: int  # bytes of a frame; 0: unknown
    samples: int  # 0: unknown


def fault(source: Source | Part, start: int) -> str:
    """Why the stream is not what its header promises, or ""."""
    told = _header(source, start)
    if told is None:
        return "cut short: ends within its header"
    ends = {end for _, end in _last(source, told)} if told.samples else set()
    if not ends or told.samples in ends:
        return ""  # or left to the decoder, which checks sums
    if max(ends) < told.samples:
        return f"cut short: holds {max(ends):,} of {told.samples:,} samples that its header promises"
    return f"damaged: holds {max(ends):,} samples where its header promises {told.samples:,}"


def length_patch(source: Source | Part, start: int) -> dict[int, bytes]:
    """{place: bytes} that put the true number of samples into a header that does not know it; empty if it does."""
    told = _header(source, start)
    if told is None or told.samples:
        return {}
    frames = _last(source, told)
    ends = [end for first, end in frames if first == 0 or any(other == first for _, other in frames)]
    if not ends:
        return {}
    place = start + _SAMPLES
    before = int.from_bytes(source.at(place, 8), "big") & ~_ALL
    return {place: (before | max(ends)).to_bytes(8, "big")}


def joints(source: Source | Part, start: int) -> list[int]:
    """Where the recordings begin that were joined into one file, the first at ``start``. Reads all of it."""
    found, place = [start], _after_header(source, start)
    while block := source.at(place, _BLOCK + 7):
        found += [place + other.start() for other in _BEGINS.finditer(block) if other.start() < _BLOCK]
        place += _BLOCK
    return found


def _after_header(source: Source | Part, start: int) -> int:
    """Where the frames begin: pictures, too, may hold anything."""
    place = start + 4
    for _ in range(_MOST_BLOCKS):
        head = source.at(place, 4)
        place += 4 + int.from_bytes(head[1:], "big")
        if len(head) < 4 or head[0] & 128:
            break
    return place


def _header(source: Source | Part, start: int) -> _Header | None:
    head, number = source.at(start + 8, 18), int.from_bytes
    if len(head) < 18:
        return None
    samples = number(head[10:], "big") & _ALL
    return _Header(
        number(head[:2], "big"),
        number(head[2:4], "big"),
        number(head[7:10], "big"),
        0 if samples > min(_LONGEST, source.size * _DENSEST) else samples,
    )


def _last(source: Source | Part, told: _Header) -> set[tuple[int, int]]:
    """(first sample, sample after the last) of each of the last frames, by their headers."""
    window = (told.largest or 1 << 18) + (1 << 16)  # and tags behind it
    tail = source.at(max(0, source.size - window), window)
    frames, place = set(), len(tail)
    while (place := tail.rfind(b"\xff", 0, place)) >= 0 and len(frames) < 8:
        frame = _frame(tail[place : place + 16], told)
        if frame:
            frames.add(frame)
    return frames


def _frame(head: bytes, told: _Header) -> tuple[int, int] | None:
    """Where the frame with this header lies, in samples; None where there is none."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] & 1:
        return None
    length = 1 if head[4] < 0x80 else 8 - (head[4] ^ 0xFF).bit_length()  # of the number, coded as UTF-8 is
    place = 4 + length
    if length == 0 or len(head) < place + 5:
        return None
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
        return None
    first = number if head[1] & 1 else number * told.least
    return first, first + block


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value
