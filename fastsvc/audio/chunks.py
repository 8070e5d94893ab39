"""Where the audio lies in WAV, RF64, AIFF, CAF, W64, AU and NIST files, and how much of it their headers promise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from fastsvc.audio.magic import HEAD, container
from fastsvc.audio.view import Part

if TYPE_CHECKING:
    from fastsvc.audio.source import Source

_USUAL = frozenset(  # those that programs put behind the audio
    name.ljust(4)
    for name in (
        b"LIST id3 ID3 bext iXML cue smpl inst PEAK fact JUNK junk PAD FLLR afsp DISP _PMX acid cart chna axml "
        b"MARK INST NAME AUTH ANNO COMT COMM FVER APPL CHAN info strg mark edct ovvw peak uuid free user"
    ).split()
)
_W64_CHUNK = b"\x00\xc0O\x8e\xdb\x8a"  # the last bytes of the names of all
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0O\x8e\xdb\x8a"
TAGS = 1 << 16  # bytes behind the audio that may be anything
_MOST = 4096  # chunks that are looked at
# Of a chunk behind the audio.
_NAME = re.compile(rb"(?!TAG|APETAGEX|LYRICSBEGIN|data|SSND|fmt |desc)[A-Za-z][A-Za-z0-9 _.-]{3}")
_UNKNOWN = 1 << 48  # sizes in 64 bits from here on say that nobody knew: no disk holds so much


Order = Literal["little", "big"]


class Field(NamedTuple):
    """A number in a header, by its place."""

    place: int
    width: int
    order: Order

    def read(self, source: Source | Part) -> int:
        return int.from_bytes(source.at(self.place, self.width), self.order)


class Data(NamedTuple):
    """The audio begins at ``begin``; ``size`` bytes are promised, None: the header does not know.

    ``field`` is where that size is written; ``right``: the header's size of the whole file agrees with the file.
    """

    begin: int
    size: int | None
    field: Field
    right: bool = False


def data(source: Source | Part, name: str, start: int) -> Data | None:
    """Of the file of kind ``name`` that begins at ``start``; None where no audio is found. Raises OSError."""
    return _READERS[name](source, start)


def after(source: Source | Part, name: str, place: int) -> int:
    """The place after the chunks that follow each other from ``place`` on: the file's end, or what is no chunk."""
    if name == "w64":
        return _after_w64(source, place)
    width, order = (8, "big") if name == "caf" else (4, "big" if name == "aiff" else "little")
    for _ in range(_MOST):
        head = source.at(place, HEAD)
        if len(head) < 4 + width or container(head) or not _NAME.match(head):
            break
        size = int.from_bytes(head[4 : 4 + width], order)
        if place + size > source.size and head[:4] not in _USUAL:
            break
        place += 4 + width + size + (size & 1 if name != "caf" else 0)
    return place


def _after_w64(source: Source | Part, place: int) -> int:
    for _ in range(_MOST):
        head, size = source.at(place, HEAD), Field(place + HEAD, 8, "little").read(source)
        if not head.endswith(_W64_CHUNK) or size < 24:
            break
        place += (size + 7) // 8 * 8
    return place


def format_tag(source: Source | Part, start: int) -> int:
    """Of the audio in the WAV file at ``start``; 0 where it does not say."""
    order = "big" if source.at(start, 4) == b"RIFX" else "little"
    for chunk, place, _ in _chunks(source, start + 12, 4, order):
        if chunk == b"fmt ":
            number = Field(place, 2, order).read(source)
            return Field(place + 24, 2, order).read(source) if number == 0xFFFE else number
    return 0


def as_rf64(source: Source | Part, start: int, audio: Data) -> Part | None:
    """The WAV file at ``start``, whose audio goes to its end and is too long for 32 bits, with sizes in 64 bits.

    None where its numbers are the other way round.
    """
    if audio.field.order == "big":
        return None
    left = source.size - audio.begin
    sizes = [source.size - start + 28, left, 0]  # of all behind these words, of the audio; samples: not asked for
    large = b"".join(size.to_bytes(8, "little") for size in sizes) + bytes(4)
    head = b"RF64\xff\xff\xff\xffWAVEds64" + len(large).to_bytes(4, "little") + large
    return Part(source, head, (start + 12, audio.begin - 4), b"\xff" * 4, (audio.begin, source.size))


def _said(source: Source | Part, begin: int, size: int) -> int | None:
    """None for sizes in 32 bits by which programs say that they do not know: 0, and near 2^31 and 2^32.

    Where the file is longer, such a size is true if a chunk follows, or no more than tags.
    """
    odd = size == 0 or 0x7FFF0000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= 0xFFFFFFFF
    left, end = source.size - begin - size, begin + size
    if not odd or (size and 0 <= left <= TAGS) or (size and left > 0 and _NAME.match(source.at(end + (end & 1), 4))):
        return size
    return None


def _chunks(
    source: Source | Part, place: int, width: int, order: Order, even: bool = True
) -> Iterator[tuple[bytes, int, int]]:
    """(name, place of the content, size as written) of each chunk that begins within the file."""
    for _ in range(_MOST):
        head = source.at(place, 4 + width)
        if len(head) < 4 + width:
            return
        size = int.from_bytes(head[4:], order)
        yield head[:4], place + 4 + width, size
        place += 4 + width + size + (size & 1 if even else 0)


def _wav(source: Source | Part, start: int) -> Data | None:
    order = "big" if source.at(start, 4) == b"RIFX" else "little"
    whole, large = Field(start + 4, 4, order).read(source), None
    for chunk, place, size in _chunks(source, start + 12, 4, order):
        if chunk == b"ds64":  # RF64: sizes in 64 bits, in place of those that are 2^32 - 1
            whole, large = Field(place, 8, "little").read(source), Field(place + 8, 8, "little")
        if chunk == b"data":
            right = place < start + 8 + whole <= source.size
            if size == 0xFFFFFFFF and large:
                promised = large.read(source)
                return Data(place, promised if 0 < promised < _UNKNOWN else None, large, right)
            return Data(place, _said(source, place, size), Field(place - 4, 4, order), right)
    return None


def _aiff(source: Source | Part, start: int) -> Data | None:
    whole = Field(start + 4, 4, "big").read(source)
    for chunk, place, size in _chunks(source, start + 12, 4, "big"):
        if chunk in (b"SSND", b"BODY"):
            right = place < start + 8 + whole <= source.size
            return Data(place, _said(source, place, size), Field(place - 4, 4, "big"), right)
    return None


def _caf(source: Source | Part, start: int) -> Data | None:
    for chunk, place, size in _chunks(source, start + 8, 8, "big", even=False):
        if chunk == b"data":  # -1: to the end of the file
            return Data(place, size if 0 < size < _UNKNOWN else None, Field(place - 8, 8, "big"))
    return None


def _w64(source: Source | Part, start: int) -> Data | None:
    place = start + 40
    for _ in range(_MOST):
        head = source.at(place, 24)
        size = int.from_bytes(head[16:], "little")  # of the whole chunk
        if len(head) < 24 or (size < 24 and head[:16] != _W64_DATA):
            return None
        if head[:16] == _W64_DATA:
            return Data(place + 24, size - 24 if 24 < size < _UNKNOWN else None, Field(place + 16, 8, "little"))
        place += (size + 7) // 8 * 8
    return None


def _au(source: Source | Part, start: int) -> Data | None:
    order = "big" if source.at(start, 1) == b"." else "little"
    begin, field = start + Field(start + 4, 4, order).read(source), Field(start + 8, 4, order)
    return Data(begin, _said(source, begin, field.read(source)), field)


def _nist(source: Source | Part, start: int) -> Data | None:
    lines = source.at(start, 1024).split(b"\n")
    values = {words[0]: words[2] for words in map(bytes.split, lines) if len(words) == 3}
    try:
        begin, names = start + int(lines[1]), (b"sample_count", b"sample_n_bytes", b"channel_count")
        count, width, channels = (int(values[name]) for name in names)
    except (ValueError, IndexError, KeyError):
        return None
    size = count * width * channels
    return Data(begin, size, Field(0, 0, "little")) if min(count, width, channels) > 0 and size < _UNKNOWN else None


_READERS = {"wav": _wav, "aiff": _aiff, "caf": _caf, "w64": _w64, "au": _au, "nist": _nist}
KINDS = frozenset(_READERS)
