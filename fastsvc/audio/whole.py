"""Whether a recording is all there, by its headers: how long they promise it to be, against how long the file is.

libsndfile believes the file and takes what is left of a cut one for the whole. Only headers and the last pages are
read, never the audio. Sizes by which programs that write to a pipe say "unknown" promise nothing, nor do chunks after
the audio.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from fastsvc.audio import flac, mp3, ogg

HEAD = 16  # bytes that tell the kind
_MOST_CHUNKS = 4096
_SLOPPY = 4096  # bytes that a header may promise too many, where the size of all is right
_STREAMS = {"flac": flac.fault, "mp3": mp3.fault, "ogg": ogg.fault}
_W64_RIFF = b"riff.\x91\xcf\x11\xa5\xd6(\xdb\x04\xc1\x00\x00"
_MAGIC = {"ogg": b"OggS", "flac": b"fLaC", "caf": b"caff", "w64": _W64_RIFF, "nist": b"NIST_1A"}
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0O\x8e\xdb\x8a"


class Source:
    """Bytes of an open file by their place; empty or short past its end."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def at(self, place: int, count: int) -> bytes:
        """Raises OSError."""
        if place >= self.size:  # also what no file can be as long as
            return b""
        self._file.seek(place)
        return self._file.read(count)


def kind(source: Source) -> tuple[str, int]:
    """(name of the container or "", place at which it begins: after ID3 tags)."""
    start = mp3.after_id3(source)
    head = source.at(start, HEAD)
    for name, magic in _MAGIC.items():
        if head.startswith(magic):
            return name, start
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "wav", start
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC", b"8SVX", b"16SV"):
        return "aiff", start
    if head[:4] in (b".snd", b"dns."):
        return "au", start
    return ("mp3" if start or mp3.frame(head) else ""), start


def fault(source: Source, name: str, start: int) -> str:
    """Why the recording of kind ``name`` at ``start`` is not whole, or "" (whole, or nothing is promised)."""
    if name in _STREAMS:
        return _STREAMS[name](source, start)
    for begin, promised, sloppy in _audio(source, name, start):
        missing = begin + promised - source.size
        if missing > (_SLOPPY if sloppy else 0):
            held = max(0, source.size - begin)
            return f"cut short: holds {held:,} of {promised:,} bytes of audio that its header promises"
    return ""


def _audio(source: Source, name: str, start: int) -> Iterator[tuple[int, int, bool]]:
    """(first byte of the audio, bytes promised, whether the size of the whole file is promised and right), if known."""
    if name == "wav":
        yield from _riff(source, start)
    elif name == "aiff":
        whole = _number(source, start + 4, 4, "big")
        for chunk, place, size in _chunks(source, start + 12, 4, "big"):
            if chunk in (b"SSND", b"BODY") and not _unknown(size):
                yield place, size, _right(start + 8 + whole, source, place)
    elif name == "caf":
        for chunk, place, size in _chunks(source, start + 8, 8, "big", even=False):
            if chunk == b"data" and 0 < size < 1 << 63:  # -1: to the end of the file
                yield place, size, False
    elif name == "w64":
        yield from _w64(source, start)
    elif name == "au":
        order = "big" if source.at(start, 1) == b"." else "little"
        offset, size = (_number(source, start + place, 4, order) for place in (4, 8))
        if not _unknown(size):
            yield start + offset, size, False
    elif name == "nist":
        yield from _nist(source, start)


def _number(source: Source, place: int, count: int, order: str) -> int:
    return int.from_bytes(source.at(place, count), order)


def _unknown(size: int) -> bool:
    """Sizes in 32 bits by which programs say that they do not know: 0, and near 2^31 and 2^32."""
    return size == 0 or 0x7FFF0000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= 0xFFFFFFFF


def _right(end: int, source: Source, after: int) -> bool:
    return after < end <= source.size


def _chunks(source: Source, place: int, width: int, order: str, even: bool = True) -> Iterator[tuple[bytes, int, int]]:
    """(name, place of the content, size as written) of each chunk that begins within the file."""
    for _ in range(_MOST_CHUNKS):
        head = source.at(place, 4 + width)
        if len(head) < 4 + width:
            return
        size = int.from_bytes(head[4:], order)
        yield head[:4], place + 4 + width, size
        place += 4 + width + size + (size & 1 if even else 0)


def _riff(source: Source, start: int) -> Iterator[tuple[int, int, bool]]:
    order = "big" if source.at(start, 4) == b"RIFX" else "little"
    whole, large = _number(source, start + 4, 4, order), 0
    for chunk, place, size in _chunks(source, start + 12, 4, order):
        if chunk == b"ds64":  # RF64: sizes in 64 bits, in place of those that are 2^32 - 1
            whole, large = (_number(source, place + i, 8, "little") for i in (0, 8))
        if chunk == b"data":
            if size == 0xFFFFFFFF and 0 < large < 1 << 63:
                yield place, large, _right(start + 8 + whole, source, place)
            elif not _unknown(size):
                yield place, size, _right(start + 8 + whole, source, place)
            return


def _w64(source: Source, start: int) -> Iterator[tuple[int, int, bool]]:
    place = start + 40
    for _ in range(_MOST_CHUNKS):
        head = source.at(place, 24)
        size = int.from_bytes(head[16:], "little")
        if len(head) < 24 or size < 24:
            return
        if head[:16] == _W64_DATA:
            if 24 < size < 1 << 63:
                yield place + 24, size - 24, False
            return
        place += (size + 7) // 8 * 8


def _nist(source: Source, start: int) -> Iterator[tuple[int, int, bool]]:
    lines = source.at(start, 1024).split(b"\n")
    values = {words[0]: words[2] for words in map(bytes.split, lines) if len(words) == 3}
    try:
        count, width, channels = (
            int(values.get(key, b"1")) for key in (b"sample_count", b"sample_n_bytes", b"channel_count")
        )
        begin = start + int(lines[1])
    except (ValueError, IndexError):
        return
    if b"sample_count" in values and min(count, width, channels) > 0:
        yield begin, count * width * channels, False
