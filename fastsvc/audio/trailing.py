"""What follows the audio in a file of chunks: more chunks, another recording, or what no header speaks of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastsvc.audio import chunks
from fastsvc.audio.magic import HEAD, W64_RIFF, container
from fastsvc.audio.mp3_chain import after_tags

if TYPE_CHECKING:
    from fastsvc.audio.source import Source
    from fastsvc.audio.view import Part

_BLOCK = 1 << 20
_ROUNDS = 16
_LONGEST = 64  # bytes of a pattern, and more
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
    if container(source.at(place, HEAD)):
        return place
    return _search(source, _BEGINS[name], place) if name in _BEGINS else -1


def unsaid(source: Source | Part, name: str, audio: chunks.Data) -> int:
    """Bytes behind the audio that are more than tags and belong to nothing, where its size is known."""
    if name == "nist" or audio.size is None or audio.begin + audio.size >= source.size:
        return 0
    left = source.size - _behind(source, name, audio.begin + audio.size)
    return left if left > chunks.TAGS else 0


def _behind(source: Source | Part, name: str, end: int) -> int:
    """The place behind the chunks and tags that follow the audio, which ends at ``end``."""
    padding = -end % {"wav": 2, "aiff": 2, "w64": 8}.get(name, 1)  # which some leave out, and some do not fill
    for _ in range(_ROUNDS):
        place = end
        if container(source.at(end, HEAD)):
            break
        end = after_tags(source, chunks.after(source, name, end) if name != "au" else end)
        if end == place:
            if not padding:
                break
            end, padding = end + padding, 0
    return end


def _search(source: Source | Part, pattern: re.Pattern, begin: int) -> int:
    while block := source.at(begin, _BLOCK + _LONGEST):
        if found := pattern.search(block):
            return begin + found.start()
        begin += _BLOCK
    return -1
