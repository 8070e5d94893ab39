"""Whether a recording is all there, by its headers: how long they promise it to be, against how long the file is.

libsndfile believes the file and takes what is left of a cut one for the whole. Only headers and the last pages are
read, never the audio. Sizes by which programs that write to a pipe say "unknown" promise nothing, nor do chunks after
the audio.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from fastsvc.audio import chunks, flac, mp3, ogg
from fastsvc.audio.view import View

HEAD = 16  # bytes that tell the kind
_SLOPPY = 4096  # bytes that a header may promise too many, where the size of the whole file is right
_STREAMS = {"flac": flac.fault, "mp3": mp3.fault, "ogg": ogg.fault}
_MAGIC = {"ogg": b"OggS", "flac": b"fLaC", "caf": b"caff", "w64": chunks.W64_RIFF, "nist": b"NIST_1A"}


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
    audio = chunks.data(source, name, start) if name else None
    if audio is None or audio.size is None:
        return ""
    if audio.begin + audio.size - source.size <= (_SLOPPY if audio.right else 0):
        return ""
    held = max(0, source.size - audio.begin)
    return f"cut short: holds {held:,} of {audio.size:,} bytes of audio that its header promises"


def view(source: Source, name: str, start: int) -> View | None:
    """The recording with its true length, where libsndfile would not find that itself; else None."""
    if name == "flac":
        patch = flac.length_patch(source, start)
        return View(source, patches=patch) if patch else None
    if name == "mp3":
        head = mp3.missing_tag(source, start)
        return View(source, head=head, begin=start) if head else None
    audio = chunks.data(source, name, start) if name and name not in _STREAMS else None
    if audio is None:
        return None
    if audio.size is None:
        left, field = source.size - audio.begin, audio.field
        if name in ("aiff", "caf") or not 0 < left < 1 << (8 * field.width - 1):
            return None  # libsndfile knows what to do, or nobody does
        left += 24 if name == "w64" else 0
        return View(source, patches={field.place: left.to_bytes(field.width, field.order)})
    if name == "w64":  # libsndfile takes all that follows for audio
        return View(source, end=audio.begin + audio.size)
    return None
