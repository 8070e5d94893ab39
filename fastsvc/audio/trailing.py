"""What follows the audio in a file of chunks: more chunks, another recording, or what no header speaks of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastsvc.audio import chunks
from fastsvc.audio.magic import HEAD, W64_RIFF, container

if TYPE_CHECKING:
    from fastsvc.audio.view import Part
    from fastsvc.audio.whole import Source

_BLOCK = 1 << 20
_LONGEST = 64  # bytes of a pattern, and more
_UNSAID = 1 << 16  # bytes behind the audio that may be anything
# Where the size of the audio is not known, a further recording begins with the rest of its header, too.
_BEGINS = {
    "wav": re.compile(rb"(?:RIFF|RF64|RIFX)....WAVE(?:fmt |JUNK|bext|LIST|ds64)", re.DOTALL),
    "aiff": re.compile(rb"FORM....AIF[FC](?:COMM|FVER|MARK|INST|NAME|ANNO)", re.DOTALL),
    "caf": re.compile(rb"caff\x00\x01\x00\x00desc"),
    "w64": re.compile(re.escape(W64_RIFF)),
    "au": re.compile(rb"\.snd\x00\x00..\xff\xff\xff\xff\x00\x00\x00.", re.DOTALL),
}


def seam(source: Source | Part, name: str, start: int) -> int:
    """Where another recording begins behind the one at ``start``; -1: nowhere. Raises OSError."""
    audio = chunks.data(source, name, start)
    if audio is None:
        return -1
    if audio.size is None:
        return _search(source, _BEGINS[name], audio.begin) if name in _BEGINS else -1
    place = _behind(source, name, audio.begin + audio.size)
    return place if container(source.at(place, HEAD)) else -1


def unsaid(source: Source | Part, name: str, audio: chunks.Data) -> int:
    """Bytes behind the audio that are more than tags and belong to nothing, where its size is known."""
    if name == "nist" or audio.size is None or audio.begin + audio.size >= source.size:
        return 0
    left = source.size - _behind(source, name, audio.begin + audio.size)
    return left if left > _UNSAID else 0


def _behind(source: Source | Part, name: str, end: int) -> int:
    """The place behind the chunks that follow the audio, which ends at ``end``."""
    if name == "w64":
        return (end + 7) // 8 * 8 if container(source.at(end, HEAD)) != "w64" else end
    if name not in ("wav", "aiff", "caf"):
        return end
    if end & 1 and name != "caf" and not container(source.at(end, HEAD)):
        end += 1
    return chunks.after(source, name, end)


def _search(source: Source | Part, pattern: re.Pattern, begin: int) -> int:
    while block := source.at(begin, _BLOCK + _LONGEST):
        if found := pattern.search(block):
            return begin + found.start()
        begin += _BLOCK
    return -1
