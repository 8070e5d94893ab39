"""MP4, M4A, MOV and 3GP: their boxes, read without a decoder: is all there, is it encrypted, how long is it?

Sizes and counts are checked against the file here, before FFmpeg takes memory by them.
Source: ISO/IEC 14496-12; Apple, QuickTime File Format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastsvc.audio.source import Source

FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # by which such files begin
_ENCRYPTED = (b"drms", b"drmi", b"enca", b"aavd")  # sample entries: FairPlay, Common Encryption, Audible
JOINED = "several recordings joined into one file, of which one would be read"
_INNER = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf")
_MOST, _DEEPEST = 1 << 18, 8  # boxes of a file, and of each other, that are looked at
_TABLE, _EDITS = 1 << 20, 1000  # entries that are read


class Box(NamedTuple):
    """``begin``: place of the content; ``end``: place after it, as promised."""

    name: bytes
    begin: int
    end: int


@dataclass
class Track:
    """``units``: length of all its packets in ticks of ``scale`` (per second), 0 where only the packets know.

    ``edits``: (ticks of the film, first tick of the track, -1: silence) of what is played.
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

    def spans(self, film_scale: int) -> list[tuple[int, int]]:
        """(first tick, tick after the last) of each part that is played; none: the header alone does not know.

        An edit's end is rounded to the film's ticks, often of 1 ms: where it lies that near to the end of the packets,
        those have it to the sample.
        """
        if not self.units or not self.scale:
            return []
        found = []
        for ticks, begin in self.played or [(0, 0)]:
            end = begin + ticks * self.scale / film_scale if film_scale and ticks else self.units
            near = abs(end - self.units) <= self.scale / max(film_scale, 1) + 1
            found.append((min(begin, self.units), self.units if near else min(self.units, round(end))))
        return found


@dataclass
class Film:
    """``scale``: ticks per second of the whole; ``fault``: why it cannot be read, or ""; ``pieces``: more packets
    follow in fragments."""

    fault: str = ""
    scale: int = 0
    pieces: bool = False
    tracks: list[Track] = field(default_factory=list)

    @property
    def edited(self) -> bool:
        """Whether each track of sound says, in its edits, what of it is played."""
        sound = [track for track in self.tracks if track.sound]
        return bool(sound) and not self.pieces and all(one.played and one.units and one.scale for one in sound)

    @property
    def encrypted(self) -> bool:
        return any(track.encrypted for track in self.tracks)


def film(source: Source, start: int) -> Film:
    """Of the file that begins at ``start``. Raises OSError."""
    reader, index = _Reader(source), False
    found = reader.film
    for box in reader.boxes(start, source.size):
        if box.end > source.size:
            held, size = max(0, source.size - box.begin), box.end - box.begin
            found.fault = f"cut short: holds {held:,} of {size:,} bytes of {_shown(box)} that its header promises"
            return found
        if box.name == b"moov" and index:
            found.fault = JOINED
        index, found.pieces = index or box.name == b"moov", found.pieces or box.name == b"moof"
        if box.name in _INNER:
            found.fault = found.fault or reader.inside(box)
    if not index:
        found.fault = "cut short, or its recording was not finished: its index (moov) is missing"
    return found


def _shown(box: Box) -> str:
    return repr(box.name.decode("latin-1"))


class _Reader:
    def __init__(self, source: Source):
        self.source, self.film, self.left = source, Film(), _MOST

    def number(self, place: int) -> int:
        return int.from_bytes(self.source.at(place, 4), "big")

    def boxes(self, place: int, end: int) -> Iterator[Box]:
        while self.left and place < end:
            self.left -= 1
            head = self.source.at(place, min(16, end - place))
            size, name, begin = int.from_bytes(head[:4], "big"), head[4:8], place + 8
            if len(head) < 8 or not (name.isascii() or name[0] == 0xA9) or min(name) < 32:
                return  # what follows the last one is nobody's
            if size == 1:
                size, begin = int.from_bytes(head[8:16], "big"), place + 16
            size = size or end - place
            if size < begin - place:
                return
            yield Box(name, begin, place + size)
            place += size

    def inside(self, outer: Box, track: Track | None = None, deep: int = 0) -> str:
        """What is wrong within ``outer``, or ""; what it says is put into the film."""
        for box in self.boxes(outer.begin, outer.end) if deep < _DEEPEST else ():
            if box.end > outer.end:
                return f"damaged: its box {_shown(box)} is larger than what it lies in"
            fault = ""
            if box.name in _INNER:
                if box.name == b"trak":
                    track = Track()
                    self.film.tracks.append(track)
                fault = self.inside(box, track, deep + 1)
            elif box.name == b"mvhd":
                self.film.scale = self.scale(box)
            elif box.name == b"trun":
                fault = self.room(self.number(box.begin + 4), 0)
            elif track is not None:
                fault = self.of_track(box, track)
            if fault:
                return fault
        return ""

    def of_track(self, box: Box, track: Track) -> str:
        if box.name == b"tkhd":
            track.id = self.number(box.begin + (20 if self.source.at(box.begin, 1) == b"\1" else 12))
        elif box.name == b"mdhd":
            track.scale = self.scale(box)
        elif box.name == b"hdlr":  # a second one, of QuickTime, is in minf
            track.sound |= self.source.at(box.begin + 8, 4) == b"soun"
        elif box.name == b"stsd":
            track.encrypted |= any(entry.name in _ENCRYPTED for entry in self.boxes(box.begin + 8, box.end))
        elif box.name == b"elst":
            if (many := self.number(box.begin + 4)) > _EDITS:
                return f"holds {many:,} edits, and no more than {_EDITS} are read"
            track.edits = self.edits(box)
        elif box.name == b"stts":
            track.units = self.units(box)
        elif box.name == b"stsz":
            return self.room(self.number(box.begin + 8), self.number(box.begin + 4))
        return ""

    def room(self, many: int, each: int) -> str:
        """Packets of ``each`` bytes (0: each of its own), which FFmpeg makes room for before it sees them."""
        if many * max(each, 1) > self.source.size:
            return f"damaged: promises {many:,} packets in {self.source.size:,} bytes"
        return ""

    def scale(self, box: Box) -> int:
        return self.number(box.begin + (20 if self.source.at(box.begin, 1) == b"\1" else 12))

    def units(self, box: Box) -> int:
        many = min(self.number(box.begin + 4), (box.end - box.begin - 8) // 8)
        content = self.source.at(box.begin + 8, 8 * many) if many <= _TABLE else b""
        numbers = [int.from_bytes(content[place : place + 4], "big") for place in range(0, len(content), 4)]
        return sum(count * ticks for count, ticks in zip(numbers[::2], numbers[1::2]))

    def edits(self, box: Box) -> list[tuple[int, int]]:
        width = 8 if self.source.at(box.begin, 1) == b"\1" else 4
        size, found = 2 * width + 4, []
        many = min(self.number(box.begin + 4), (box.end - box.begin - 8) // size)
        content = self.source.at(box.begin + 8, many * size)
        for place in range(0, len(content) - size + 1, size):
            ticks, media = content[place : place + width], content[place + width : place + 2 * width]
            found.append((int.from_bytes(ticks, "big"), int.from_bytes(media, "big", signed=True)))
        return found
