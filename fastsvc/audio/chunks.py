"""The offset of the audio in WAV, RF64, AIFF, CAF, W64, AU and NIST files, and the size that their headers promise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from fastsvc.audio.file_part import FilePart
from fastsvc.audio.magic import HEAD, container

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes

_USUAL = frozenset(  # names of chunks that programs write behind the audio
    name.ljust(4)
    for name in (
        b"LIST id3 ID3 bext iXML cue smpl inst PEAK fact JUNK junk PAD FLLR afsp DISP _PMX acid cart chna axml "
        b"MARK INST NAME AUTH ANNO COMT COMM FVER APPL CHAN info strg mark edct ovvw peak uuid free user"
    ).split()
)
_W64_CHUNK = b"\x00\xc0O\x8e\xdb\x8a"  # the last bytes of every chunk's name
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0O\x8e\xdb\x8a"
TAGS = 1 << 16  # bytes behind the audio that may have any content
_MOST = 4096  # chunks that are read
# The name of a chunk behind the audio.
_NAME = re.compile(rb"(?!TAG|APETAGEX|LYRICSBEGIN|data|SSND|fmt |desc)[A-Za-z][A-Za-z0-9 _.-]{3}")
_UNKNOWN = 1 << 48  # larger sizes in 64 bits mean unknown: no disk holds that many bytes


Order = Literal["little", "big"]


class HeaderField(NamedTuple):
    """A number in a header, by its offset."""

    offset: int
    width: int
    order: Order

    def read(self, source: FileBytes | FilePart) -> int:
        return int.from_bytes(source.at(self.offset, self.width), self.order)


class AudioData(NamedTuple):
    """The audio begins at ``begin``; ``size``: bytes that the header promises, None: unknown.

    ``field`` holds that size in the header; ``size_agrees``: the header's size of the whole file agrees with the file.
    """

    begin: int
    size: int | None
    field: HeaderField
    size_agrees: bool = False


def data(source: FileBytes | FilePart, name: str, start: int) -> AudioData | None:
    """The audio of the file of kind ``name`` that begins at ``start``; None where there is none. Raises OSError."""
    return _READERS[name](source, start)


def after(source: FileBytes | FilePart, name: str, offset: int) -> int:
    """The offset after the chunks that follow each other from ``offset`` on: the file's end, or other bytes."""
    if name == "w64":
        return _after_w64(source, offset)
    width, order = (8, "big") if name == "caf" else (4, "big" if name == "aiff" else "little")
    for _ in range(_MOST):
        head = source.at(offset, HEAD)
        if len(head) < 4 + width or container(head) or not _NAME.match(head):
            break
        size = int.from_bytes(head[4 : 4 + width], order)
        if offset + size > source.size and head[:4] not in _USUAL:
            break
        offset += 4 + width + size + (size & 1 if name != "caf" else 0)
    return offset


def _after_w64(source: FileBytes | FilePart, offset: int) -> int:
    for _ in range(_MOST):
        head, size = source.at(offset, HEAD), HeaderField(offset + HEAD, 8, "little").read(source)
        if not head.endswith(_W64_CHUNK) or size < 24:
            break
        offset += (size + 7) // 8 * 8
    return offset


def format_tag(source: FileBytes | FilePart, start: int) -> int:
    """The format tag of the WAV file at ``start``; 0 where it is missing."""
    order = "big" if source.at(start, 4) == b"RIFX" else "little"
    for chunk, offset, _ in _chunks(source, start + 12, 4, order):
        if chunk == b"fmt ":
            number = HeaderField(offset, 2, order).read(source)
            return HeaderField(offset + 24, 2, order).read(source) if number == 0xFFFE else number
    return 0


def as_rf64(source: FileBytes | FilePart, start: int, audio: AudioData) -> FilePart | None:
    """The WAV file at ``start``, whose audio extends to its end and is too long for 32 bits, with sizes in 64 bits.

    None where its numbers are big-endian.
    """
    if audio.field.order == "big":
        return None
    remaining = source.size - audio.begin
    sizes = [source.size - start + 28, remaining, 0]  # of the file after these words, of the audio; samples: unused
    ds64 = b"".join(size.to_bytes(8, "little") for size in sizes) + bytes(4)
    head = b"RF64\xff\xff\xff\xffWAVEds64" + len(ds64).to_bytes(4, "little") + ds64
    return FilePart(source, head, (start + 12, audio.begin - 4), b"\xff" * 4, (audio.begin, source.size))


def _known_size(source: FileBytes | FilePart, begin: int, size: int) -> int | None:
    """``size``; None for values in 32 bits that programs write for "unknown": 0, and near 2^31 and 2^32.

    Where the file is longer, such a size is real if a chunk or only tags follow.
    """
    is_placeholder = size == 0 or 0x7FFF0000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= 0xFFFFFFFF
    remaining, end = source.size - begin - size, begin + size
    if (
        not is_placeholder
        or (size and 0 <= remaining <= TAGS)
        or (size and remaining > 0 and _NAME.match(source.at(end + (end & 1), 4)))
    ):
        return size
    return None


def _chunks(
    source: FileBytes | FilePart, offset: int, width: int, order: Order, even: bool = True
) -> Iterator[tuple[bytes, int, int]]:
    """(name, offset of the content, size as written) of each chunk that begins within the file."""
    for _ in range(_MOST):
        head = source.at(offset, 4 + width)
        if len(head) < 4 + width:
            return
        size = int.from_bytes(head[4:], order)
        yield head[:4], offset + 4 + width, size
        offset += 4 + width + size + (size & 1 if even else 0)


def _wav(source: FileBytes | FilePart, start: int) -> AudioData | None:
    order = "big" if source.at(start, 4) == b"RIFX" else "little"
    file_size, size_64 = HeaderField(start + 4, 4, order).read(source), None
    for chunk, offset, size in _chunks(source, start + 12, 4, order):
        if chunk == b"ds64":  # RF64: sizes in 64 bits, in place of those that are 2^32 - 1
            file_size, size_64 = HeaderField(offset, 8, "little").read(source), HeaderField(offset + 8, 8, "little")
        if chunk == b"data":
            size_agrees = offset < start + 8 + file_size <= source.size
            if size == 0xFFFFFFFF and size_64:
                promised = size_64.read(source)
                return AudioData(offset, promised if 0 < promised < _UNKNOWN else None, size_64, size_agrees)
            return AudioData(offset, _known_size(source, offset, size), HeaderField(offset - 4, 4, order), size_agrees)
    return None


def _aiff(source: FileBytes | FilePart, start: int) -> AudioData | None:
    file_size = HeaderField(start + 4, 4, "big").read(source)
    for chunk, offset, size in _chunks(source, start + 12, 4, "big"):
        if chunk in (b"SSND", b"BODY"):
            size_agrees = offset < start + 8 + file_size <= source.size
            return AudioData(offset, _known_size(source, offset, size), HeaderField(offset - 4, 4, "big"), size_agrees)
    return None


def _caf(source: FileBytes | FilePart, start: int) -> AudioData | None:
    for chunk, offset, size in _chunks(source, start + 8, 8, "big", even=False):
        if chunk == b"data":  # -1: to the end of the file
            return AudioData(offset, size if 0 < size < _UNKNOWN else None, HeaderField(offset - 8, 8, "big"))
    return None


def _w64(source: FileBytes | FilePart, start: int) -> AudioData | None:
    offset = start + 40
    for _ in range(_MOST):
        head = source.at(offset, 24)
        size = int.from_bytes(head[16:], "little")  # of the whole chunk
        if len(head) < 24 or (size < 24 and head[:16] != _W64_DATA):
            return None
        if head[:16] == _W64_DATA:
            return AudioData(
                offset + 24, size - 24 if 24 < size < _UNKNOWN else None, HeaderField(offset + 16, 8, "little")
            )
        offset += (size + 7) // 8 * 8
    return None


def _au(source: FileBytes | FilePart, start: int) -> AudioData | None:
    order = "big" if source.at(start, 1) == b"." else "little"
    begin, field = start + HeaderField(start + 4, 4, order).read(source), HeaderField(start + 8, 4, order)
    return AudioData(begin, _known_size(source, begin, field.read(source)), field)


def _nist(source: FileBytes | FilePart, start: int) -> AudioData | None:
    lines = source.at(start, 1024).split(b"\n")
    values = {words[0]: words[2] for words in map(bytes.split, lines) if len(words) == 3}
    try:
        begin, names = start + int(lines[1]), (b"sample_count", b"sample_n_bytes", b"channel_count")
        count, width, channels = (int(values[name]) for name in names)
    except (ValueError, IndexError, KeyError):
        return None
    size = count * width * channels
    return (
        AudioData(begin, size, HeaderField(0, 0, "little"))
        if min(count, width, channels) > 0 and size < _UNKNOWN
        else None
    )


_READERS = {"wav": _wav, "aiff": _aiff, "caf": _caf, "w64": _w64, "au": _au, "nist": _nist}
KINDS = frozenset(_READERS)
