"""FLAC: whether the last frames, by their numbers, end where the header says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes
    from fastsvc.audio.file_part import FilePart

_SAMPLES = 18  # offset of the 8 bytes whose lower 36 bits are the number of samples
_ALL = (1 << 36) - 1
_LONGEST = _ALL - (1 << 16)  # samples: larger numbers mean unknown
_DENSEST = 1 << 13  # samples a byte: no encoder compresses more
_BEGINS = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_BLOCK = 1 << 20
_MOST_BLOCKS = 1 << 12


class _Header(NamedTuple):
    least: int  # samples of a block
    most: int
    largest: int  # bytes of a frame; 0: unknown
    samples: int  # 0: unknown


def fault(source: FileBytes | FilePart, start: int) -> str:
    """Why the stream is shorter or longer than its header promises, or ""."""
    header = _header(source, start)
    if header is None:
        return "cut short: ends within its header"
    ends = {end for _, end in _last(source, header)} if header.samples else set()
    if not ends or header.samples in ends:
        return ""  # complete, or left to the decoder, which verifies checksums
    if max(ends) < header.samples:
        return f"cut short: holds {max(ends):,} of {header.samples:,} samples that its header promises"
    return f"damaged: holds {max(ends):,} samples where its header promises {header.samples:,}"


def length_patch(source: FileBytes | FilePart, start: int) -> dict[int, bytes]:
    """{offset: bytes} that write the true number of samples into a header without one; empty if it has one."""
    header = _header(source, start)
    if header is None or header.samples:
        return {}
    frames = _last(source, header)
    ends = [end for first, end in frames if first == 0 or any(other == first for _, other in frames)]
    if not ends:
        return {}
    offset = start + _SAMPLES
    before = int.from_bytes(source.at(offset, 8), "big") & ~_ALL
    return {offset: (before | max(ends)).to_bytes(8, "big")}


def joints(source: FileBytes | FilePart, start: int) -> list[int]:
    """Offsets of the recordings that were joined into one file, the first at ``start``. Reads the whole file."""
    starts, offset = [start], _after_header(source, start)
    while block := source.at(offset, _BLOCK + 7):
        starts += [offset + match.start() for match in _BEGINS.finditer(block) if match.start() < _BLOCK]
        offset += _BLOCK
    return starts


def _after_header(source: FileBytes | FilePart, start: int) -> int:
    """The offset of the frames, after all metadata: pictures may contain any bytes."""
    offset = start + 4
    for _ in range(_MOST_BLOCKS):
        head = source.at(offset, 4)
        offset += 4 + int.from_bytes(head[1:], "big")
        if len(head) < 4 or head[0] & 128:
            break
    return offset


def _header(source: FileBytes | FilePart, start: int) -> _Header | None:
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


def _last(source: FileBytes | FilePart, header: _Header) -> set[tuple[int, int]]:
    """(first sample, sample after the last) of each of the last eight frames, by their headers."""
    window = (header.largest or 1 << 18) + (1 << 16)  # and tags behind it
    tail = source.at(max(0, source.size - window), window)
    frames, offset = set(), len(tail)
    while (offset := tail.rfind(b"\xff", 0, offset)) >= 0 and len(frames) < 8:
        frame = _frame(tail[offset : offset + 16], header)
        if frame:
            frames.add(frame)
    return frames


def _frame(head: bytes, header: _Header) -> tuple[int, int] | None:
    """(first sample, sample after the last) of the frame with this header; None where it is not one."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] & 1:
        return None
    length = 1 if head[4] < 0x80 else 8 - (head[4] ^ 0xFF).bit_length()  # of the number, coded as UTF-8 is
    offset = 4 + length
    if length == 0 or len(head) < offset + 5:
        return None
    number = head[4] if length == 1 else head[4] & (1 << max(0, 7 - length)) - 1
    for byte in head[5:offset]:
        number = number << 6 | byte & 63
    code, rate = head[2] >> 4, head[2] & 15
    extra = 1 if code == 6 else 2 if code == 7 else 0
    block = {1: 192, 6: 1, 7: 1}.get(code) or (576 << code - 2 if code < 6 else 256 << code - 8)
    if extra:
        block = int.from_bytes(head[offset : offset + extra], "big") + 1
    offset += extra + (1 if rate == 12 else 2 if rate in (13, 14) else 0)
    if block > header.most or len(head) <= offset or _crc8(head[:offset]) != head[offset]:
        return None
    first = number if head[1] & 1 else number * header.least
    return first, first + block


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value
