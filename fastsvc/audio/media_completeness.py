"""Whether a file for FFmpeg is complete, one recording and not encrypted, by its headers.

FFmpeg accepts the rest of a cut file as a complete one. Sources: ISO/IEC 14496-12, RFC 8794 (EBML), RFC 9559
(Matroska), Microsoft's ASF Specification 01.20.03.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fastsvc.audio import boxes, chunks, media_frames, media_kinds
from fastsvc.audio.boxes import JOINED
from fastsvc.audio.media_kinds import MediaKind
from fastsvc.errors import AudioError

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes

AGAIN = "copy or export the recording again"
_SPLIT = "split the file, or convert the recordings to wav or flac first"
_PROTECTED = "record or export the sound without protection: fastsvc does not read encrypted files"
_SEGMENT = b"\x18S\x80g"
_CLUSTER = b"\x1fC\xb6u"
_ENCRYPTED = b"\x50\x33\x81\x01"  # ContentEncodingType 1
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_LOCKED = (  # Content Encryption, Extended, and Advanced
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
    bytes.fromhex("33859b43c1274a4b9ee2d2fc2a0d2f7d"),
)
_HEADERS = 1 << 18  # bytes of headers that are searched
_MOST = 4096


def check(path: Path, source: FileBytes, start: int, kind: MediaKind) -> boxes.Movie | None:
    """The boxes of an MP4, None for other kinds. Raises AudioError where the recording is incomplete, and OSError."""
    movie, fault, locked = None, "", False
    if kind.name == "mp4":
        movie = boxes.movie(source, start)
        fault, locked = movie.fault, movie.encrypted
    elif kind.name == "matroska":
        fault = _matroska(source, start)
        locked = _ENCRYPTED in source.at(start, _HEADERS).partition(_CLUSTER)[0]
    elif kind.name == "asf":
        size = int.from_bytes(source.at(start + 16, 8), "little")
        fault = _asf(source, start)
        locked = any(guid in source.at(start, min(size, _HEADERS)) for guid in _ASF_LOCKED)
    elif kind.name == "caf":
        fault = JOINED if any(name == b"caff" for name, _ in _caf(source, start)) else ""
    elif kind.name == "wav":
        audio = chunks.data(source, "wav", start)
        if audio is not None and audio.size is not None and audio.begin + audio.size > source.size:
            fault = _cut(source.size - audio.begin, audio.size)
    else:
        fault = media_frames.fault(source, start, kind.name)
    if fault:
        raise AudioError(f"{path}: {fault}", _SPLIT if fault == JOINED else AGAIN)
    if locked:
        raise AudioError(f"{path}: {kind.what} that is encrypted (DRM)", _PROTECTED)
    return movie


def _cut(stored: int, size: int) -> str:
    return f"cut short: holds {max(0, stored):,} of {size:,} bytes that its header promises"


def _matroska(source: FileBytes, start: int) -> str:
    offset = start
    for number in range(_MOST):
        name = source.at(offset, 4)
        if len(name) < 4 or (number and name not in (_SEGMENT, b"\x1aE\xdf\xa3")):
            return "" if number > 1 else "damaged: no Matroska follows its header"
        if number > 1 and name == b"\x1aE\xdf\xa3":
            return JOINED
        begin, size = _ebml_size(source, offset + 4)
        if size is None:
            return ""  # written to a pipe
        if begin + size > source.size:
            return _cut(source.size - begin, size)
        offset = begin + size
    return ""


def _ebml_size(source: FileBytes, offset: int) -> tuple[int, int | None]:
    """(offset after it, the number; None: "unknown")"""
    head = source.at(offset, 8)
    width = 9 - (head[0] if head else 0).bit_length()
    if width > 8 or len(head) < width:
        return offset + 1, None
    value = int.from_bytes(head[:width], "big") & (1 << 7 * width) - 1
    return offset + width, None if value == (1 << 7 * width) - 1 else value


def says_its_length(source: FileBytes, start: int, kind: MediaKind) -> bool:
    """Whether the header has the length; it does not where a program wrote to a pipe."""
    if kind.name != "asf":
        return kind.has_length
    size = int.from_bytes(source.at(start + 16, 8), "little")
    head = source.at(start, min(size, _HEADERS))
    offset = head.find(_ASF_FILE)
    return offset >= 0 and any(head[offset + 40 : offset + 48])  # the size of the file


def _asf(source: FileBytes, start: int) -> str:
    offset, has_length = start, says_its_length(source, start, media_kinds.KINDS["asf"])
    for number in range(_MOST):
        head = source.at(offset, 24)
        size = int.from_bytes(head[16:], "little")
        if number and head[:16] == _ASF_HEADER:
            return JOINED
        if len(head) < 24 or size < 24:
            return "cut short: ends within its header" if number < 2 and len(head) < 24 else ""
        if offset + size > source.size:
            return _cut(source.size - offset, size) if has_length or not number else ""
        offset += size
    return ""


def follows(source: FileBytes, offset: int, kind: MediaKind) -> bool:
    """Whether another recording of ``kind`` begins after the last packet and tags."""
    if source.at(offset, 8) == b"APETAGEX":
        offset += 32 + int.from_bytes(source.at(offset + 12, 4), "little")
    if source.at(offset, 3) == b"TAG":
        offset += 128
    return media_kinds.find(source, offset) is kind


def caf_span(source: FileBytes, start: int) -> tuple[int, int] | None:
    """(samples before the recording, samples of it) by the packet table of a CAF; None without one."""
    for name, offset in _caf(source, start):
        if name == b"pakt":
            table = source.at(offset, 24)
            return int.from_bytes(table[16:20], "big"), int.from_bytes(table[8:16], "big")
    return None


def _caf(source: FileBytes, start: int) -> Iterator[tuple[bytes, int]]:
    """(name, offset of the content) of each chunk, and of the bytes after the last."""
    offset = start + 8
    for _ in range(_MOST):
        head = source.at(offset, 12)
        size = int.from_bytes(head[4:], "big", signed=True)
        if len(head) == 12:
            yield head[:4], offset + 12
        if len(head) < 12 or size < 0 or head[:4] == b"caff":
            return
        offset += 12 + size
