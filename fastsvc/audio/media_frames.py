"""AAC (ADTS), AC-3, E-AC-3 and AMR files consist of frames only: whether they follow each other up to the end.

FFmpeg skips to the next frame where one is missing, and accepts half a frame as a complete one.
Sources: ISO/IEC 13818-7, ETSI TS 102 366, RFC 4867.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastsvc.audio import mp3

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes

_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AMR = (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1)
_AMR_WIDE = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)
_HEADS = (b"#!AMR-WB\n", b"#!AMR\n")
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")  # behind the frames, as in mp3
_BLOCK, _HEAD = 1 << 16, 8


def adts(head: bytes) -> int:
    """Bytes of the AAC frame whose header is ``head``; 0: it is not a frame."""
    if len(head) < 7 or head[0] != 255 or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size >= 7 else 0


def ac3(head: bytes) -> int:
    """Bytes of the AC-3 or E-AC-3 frame whose header is ``head``; 0: it is not a frame."""
    if len(head) < 6 or head[:2] != b"\x0bw":
        return 0
    if head[5] >> 3 > 10:
        return 2 * ((head[2] & 7) << 8 | head[3]) + 2
    rate, code = head[4] >> 6, head[4] & 63
    if rate == 3 or code >> 1 >= len(_KBITS):
        return 0
    kbits = _KBITS[code >> 1]
    return (4 * kbits, 2 * (kbits * 96000 // 44100 + (code & 1)), 6 * kbits)[rate]


def _amr(sizes: tuple[int, ...]) -> Callable[[bytes], int]:
    return lambda head: sizes[head[0] >> 3 & 15] if head and not head[0] & 0x83 else 0


def fault(source: FileBytes, start: int, name: str) -> str:
    """Why the frames of kind ``name`` do not reach from ``start`` to the end of the file, or ""; reads all headers."""
    offset, size_of = start, {"aac": adts, "ac3": ac3, "eac3": ac3}.get(name)
    if name == "amr":
        magic = next((one for one in _HEADS if source.at(start, len(one)) == one), b"")
        if not magic:
            return "of a kind of AMR that cannot be read"
        offset, size_of = start + len(magic), _amr(_AMR_WIDE if magic == _HEADS[0] else _AMR)
    if size_of is None:
        return ""
    block, begin = b"", offset
    while offset < source.size:
        if offset - begin + _HEAD > len(block):
            block, begin = source.at(offset, _BLOCK), offset
        head = block[offset - begin : offset - begin + _HEAD]
        size = size_of(head)
        if not size and (tag := mp3.after_id3(source, offset)) > offset:
            offset = tag
            continue
        if not size:
            tags = any(source.at(offset, len(one)) == one for one in _TAGS)
            return "" if tags else f"damaged or cut short: no frame begins at byte {offset:,} of {source.size:,}"
        offset += size
    return "" if offset == source.size else f"cut short: its last frame lacks {offset - source.size:,} bytes"
