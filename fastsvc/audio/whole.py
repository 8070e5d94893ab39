"""Whether a recording is all there, by its headers: how long they promise it to be, against how long the file is.

libsndfile believes the file and takes what is left of a cut one for the whole. Only headers and the last pages are
read, never the audio. Sizes by which programs that write to a pipe say "unknown" promise nothing, nor do chunks after
the audio.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from fastsvc.audio import chunks, flac, mp3, ogg, trailing
from fastsvc.audio.magic import HEAD, container
from fastsvc.audio.view import Part, patched

_SLOPPY = 4096  # bytes that a header may promise too many, where the size of the whole file is right
_LARGEST_WAV = (1 << 32) - (1 << 16)  # bytes of audio
_STREAMS = {"flac": flac.fault, "mp3": mp3.fault, "ogg": ogg.fault}


class Source:
    """Bytes of an open file by their place; empty or short past the end that it had then."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def at(self, place: int, count: int) -> bytes:
        """Raises OSError."""
        if place >= self.size:  # also what no file can be as long as
            return b""
        self._file.seek(place)
        return self._file.read(min(count, self.size - place))


def kind(source: Source | Part) -> tuple[str, int]:
    """(name of the container or "", place at which it begins: after ID3 tags)."""
    start = mp3.after_id3(source)
    head = source.at(start, HEAD)
    return container(head) or ("mp3" if start or mp3.frame(head) else ""), start


def fault(source: Source | Part, name: str, start: int) -> str:
    """Why the recording of kind ``name`` at ``start`` is not whole, or "" (whole, or nothing is promised)."""
    if name in _STREAMS:
        inside = ogg.flac_inside(source, start) if name == "ogg" else None
        return _STREAMS[name](source, start) or (flac.fault(inside, 0) if inside else "")
    audio = chunks.data(source, name, start) if name else None
    if audio is None or audio.size is None:
        return ""
    if audio.begin + audio.size - source.size > (_SLOPPY if audio.right else 0):
        held = max(0, source.size - audio.begin)
        return f"cut short: holds {held:,} of {audio.size:,} bytes of audio that its header promises"
    if unsaid := trailing.unsaid(source, name, audio):
        promised = f"its header promises {audio.size:,} bytes of audio"
        return f"damaged: {promised}, and {unsaid:,} bytes follow that belong to nothing"
    return ""


def view(source: Source | Part, name: str, start: int) -> Part | None:
    """The recording with its true length, from its own first byte on, where libsndfile would not find that itself.

    Of mp3, see there.
    """
    patches, end = {}, source.size
    if name == "ogg":
        inside = ogg.flac_inside(source, start)
        return inside and (view(inside, "flac", 0) or inside)
    if name == "flac":
        patches = flac.length_patch(source, start)
    elif name and (audio := chunks.data(source, name, start)):
        if audio.size is None:
            left, field = source.size - audio.begin + (24 if name == "w64" else 0), audio.field
            if name == "wav" and left >= _LARGEST_WAV:
                return chunks.as_rf64(source, start, audio)
            if name != "aiff" and 0 < left < 1 << 8 * field.width:  # libsndfile knows what to do with that
                patches = {field.place: left.to_bytes(field.width, field.order)}
        elif name == "w64":  # libsndfile takes all that follows for audio
            end = audio.begin + audio.size
    if not patches and end == source.size:
        return None
    return Part(patched(source, patches), (start, end))
