"""MP4, M4A, MOV and 3GP: their boxes, read without a decoder, say whether all is there, encryption and length.

Sizes and counts are checked against the file here, before FFmpeg allocates memory for them.
FileBytes: ISO/IEC 14496-12; Apple, QuickTime File Format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes

FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # names of a file's first box
_ENCRYPTED = (b"drms", b"drmi", b"enca", b"aavd")  # sample entries: FairPlay, Common Encryption, Audible
JOINED = "several recordings joined into one file, of which one would be read"
_INNER = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf")
_MOST, _MOST_DEPTH = 1 << 18, 8  # boxes of a file, and levels of boxes, that are read
_TABLE, _EDITS = 1 << 20, 1000  # entries that are read


class Box(NamedTuple):
    """``begin``: offset of the content; ``end``: offset after it, as promised."""

    name: bytes
    begin: int
    end: int


@dataclass
class Track:
    """``units``: length of all packets in ticks of ``scale`` (per second); 0 where only the packets have it.

    ``edits``: (length in ticks of the movie, first tick of the track; -1: silence) of each played part.
    """

    id: int = 0
    sound: bool = False
    encrypted: bool = False
    scale: int = 0
    units: int = 0
    edits: list[tuple[int, int]] = field(default_factory=list)

    @property
    def played(self) -> list[tuple[int, int]]:
        return [edit for edit in self.edits if edit[1] >= 0]

    def spans(self, movie_scale: int) -> list[tuple[int, int]]:
        """(first tick, tick after the last) of each played part; empty where the header alone does not say.

        An edit's end is rounded to the movie's ticks, often 1 ms. Where it lies that near to the end of the packets,
        the packets' end is exact to the sample.
        """
        if not self.units or not self.scale:
            return []
        spans = []
        for ticks, begin in self.played or [(0, 0)]:
            end = begin + ticks * self.scale / movie_scale if movie_scale and ticks else self.units
            near = abs(end - self.units) <= self.scale / max(movie_scale, 1) + 1
            spans.append((min(begin, self.units), self.units if near else min(self.units, round(end))))
        return spans


@dataclass
class Movie:
    """``scale``: ticks per second; ``fault``: why it cannot be read, or ""; ``fragmented``: more packets follow."""

    fault: str = ""
    scale: int = 0
    fragmented: bool = False
    tracks: list[Track] = field(default_factory=list)

    @property
    def edited(self) -> bool:
        """Whether the edits of each track of sound say which parts are played."""
        sound = [track for track in self.tracks if track.sound]
        return (
            bool(sound) and not self.fragmented and all(track.played and track.units and track.scale for track in sound)
        )

    @property
    def encrypted(self) -> bool:
        return any(track.encrypted for track in self.tracks)


def movie(source: FileBytes, start: int) -> Movie:
    """The movie that begins at ``start``. Raises OSError."""
    reader, has_index = _Reader(source), False
    result = reader.movie
    for box in reader.boxes(start, source.size):
        if box.end > source.size:
            stored, size = max(0, source.size - box.begin), box.end - box.begin
            result.fault = f"cut short: holds {stored:,} of {size:,} bytes of {_shown(box)} that its header promises"
            return result
        if box.name == b"moov" and has_index:
            result.fault = JOINED
        has_index, result.fragmented = has_index or box.name == b"moov", result.fragmented or box.name == b"moof"
        if box.name in _INNER:
            result.fault = result.fault or reader.read_inner(box)
    if not has_index:
        result.fault = "cut short, or its recording was not finished: its index (moov) is missing"
    return result


def _shown(box: Box) -> str:
    return repr(box.name.decode("latin-1"))


class _Reader:
    def __init__(self, source: FileBytes):
        self.source, self.movie, self.remaining = source, Movie(), _MOST

    def number(self, offset: int) -> int:
        return int.from_bytes(self.source.at(offset, 4), "big")

    def boxes(self, offset: int, end: int) -> Iterator[Box]:
        while self.remaining and offset < end:
            self.remaining -= 1
            head = self.source.at(offset, min(16, end - offset))
            size, name, begin = int.from_bytes(head[:4], "big"), head[4:8], offset + 8
            if len(head) < 8 or not (name.isascii() or name[0] == 0xA9) or min(name) < 32:
                return  # no box follows the last one
            if size == 1:
                size, begin = int.from_bytes(head[8:16], "big"), offset + 16
            size = size or end - offset
            if size < begin - offset:
                return
            yield Box(name, begin, offset + size)
            offset += size

    def read_inner(self, outer: Box, track: Track | None = None, depth: int = 0) -> str:
        """What is wrong within ``outer``, or ""; adds its content to the movie."""
        for box in self.boxes(outer.begin, outer.end) if depth < _MOST_DEPTH else ():
            if box.end > outer.end:
                return f"damaged: its box {_shown(box)} is larger than what it lies in"
            fault = ""
            if box.name in _INNER:
                if box.name == b"trak":
                    track = Track()
                    self.movie.tracks.append(track)
                fault = self.read_inner(box, track, depth + 1)
            elif box.name == b"mvhd":
                self.movie.scale = self.scale(box)
            elif box.name == b"trun":
                fault = self.packet_fault(self.number(box.begin + 4), 0)
            elif track is not None:
                fault = self.read_track_box(box, track)
            if fault:
                return fault
        return ""

    def read_track_box(self, box: Box, track: Track) -> str:
        if box.name == b"tkhd":
            track.id = self.number(box.begin + (20 if self.source.at(box.begin, 1) == b"\1" else 12))
        elif box.name == b"mdhd":
            track.scale = self.scale(box)
        elif box.name == b"hdlr":  # a second one, of QuickTime, is in minf
            track.sound |= self.source.at(box.begin + 8, 4) == b"soun"
        elif box.name == b"stsd":
            track.encrypted |= any(entry.name in _ENCRYPTED for entry in self.boxes(box.begin + 8, box.end))
        elif box.name == b"elst":
            if (count := self.number(box.begin + 4)) > _EDITS:
                return f"holds {count:,} edits, and no more than {_EDITS} are read"
            track.edits = self.edits(box)
        elif box.name == b"stts":
            track.units = self.units(box)
        elif box.name == b"stsz":
            return self.packet_fault(self.number(box.begin + 8), self.number(box.begin + 4))
        return ""

    def packet_fault(self, count: int, packet_bytes: int) -> str:
        """What is wrong with these packets (``packet_bytes`` 0: of various sizes), which FFmpeg allocates unread."""
        if count * max(packet_bytes, 1) > self.source.size:
            return f"damaged: promises {count:,} packets in {self.source.size:,} bytes"
        return ""

    def scale(self, box: Box) -> int:
        return self.number(box.begin + (20 if self.source.at(box.begin, 1) == b"\1" else 12))

    def units(self, box: Box) -> int:
        count = min(self.number(box.begin + 4), (box.end - box.begin - 8) // 8)
        content = self.source.at(box.begin + 8, 8 * count) if count <= _TABLE else b""
        numbers = [int.from_bytes(content[offset : offset + 4], "big") for offset in range(0, len(content), 4)]
        return sum(count * ticks for count, ticks in zip(numbers[::2], numbers[1::2]))

    def edits(self, box: Box) -> list[tuple[int, int]]:
        width = 8 if self.source.at(box.begin, 1) == b"\1" else 4
        size, edits = 2 * width + 4, []
        count = min(self.number(box.begin + 4), (box.end - box.begin - 8) // size)
        content = self.source.at(box.begin + 8, count * size)
        for offset in range(0, len(content) - size + 1, size):
            ticks, media = content[offset : offset + width], content[offset + width : offset + 2 * width]
            edits.append((int.from_bytes(ticks, "big"), int.from_bytes(media, "big", signed=True)))
        return edits
