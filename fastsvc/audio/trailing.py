"""The bytes after the audio in a file of chunks: more chunks, another recording, or unknown bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastsvc.audio import chunks
from fastsvc.audio.magic import HEAD, W64_RIFF, container
from fastsvc.audio.mp3_chain import after_tags

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes
    from fastsvc.audio.file_part import FilePart

_BLOCK = 1 << 20
_ROUNDS = 16
_LONGEST = 64  # at least the bytes of the longest pattern
# Where the size of the audio is unknown, another recording is recognised by more of its header.
_BEGINS = {
    "wav": re.compile(rb"(?:RIFF|RF64|RIFX)....WAVE(?:fmt |JUNK|bext|LIST|ds64)", re.DOTALL),
    "aiff": re.compile(rb"FORM....AIF[FC](?:COMM|FVER|MARK|INST|NAME|ANNO)", re.DOTALL),
    "caf": re.compile(rb"caff\x00\x01\x00\x00desc"),
    "w64": re.compile(re.escape(W64_RIFF)),
    "au": re.compile(rb"\.snd\x00\x00..\xff\xff\xff\xff\x00\x00\x00.", re.DOTALL),
}


def seam(source: FileBytes | FilePart, name: str, start: int) -> int:
    """The offset of another recording behind the one at ``start``; -1: none. Raises OSError."""
    audio = chunks.data(source, name, start)
    if audio is None:
        return -1
    if audio.size is None:
        return _search(source, _BEGINS[name], audio.begin) if name in _BEGINS else -1
    offset = _behind(source, name, audio.begin + audio.size)
    if container(source.at(offset, HEAD)):
        return offset
    return _search(source, _BEGINS[name], offset) if name in _BEGINS else -1


def unknown_bytes(source: FileBytes | FilePart, name: str, audio: chunks.AudioData) -> int:
    """The number of bytes behind the audio that belong to nothing, if more than tags and the audio's size is known."""
    if name == "nist" or audio.size is None or audio.begin + audio.size >= source.size:
        return 0
    remaining = source.size - _behind(source, name, audio.begin + audio.size)
    return remaining if remaining > chunks.TAGS else 0


def _behind(source: FileBytes | FilePart, name: str, end: int) -> int:
    """The offset behind the chunks and tags that follow the audio, which ends at ``end``."""
    padding = -end % {"wav": 2, "aiff": 2, "w64": 8}.get(name, 1)  # which some programs omit, and some do not fill
    for _ in range(_ROUNDS):
        offset = end
        if container(source.at(end, HEAD)):
            break
        end = after_tags(source, chunks.after(source, name, end) if name != "au" else end)
        if end == offset:
            if not padding:
                break
            end, padding = end + padding, 0
    return end


def _search(source: FileBytes | FilePart, pattern: re.Pattern, begin: int) -> int:
    while block := source.at(begin, _BLOCK + _LONGEST):
        if match := pattern.search(block):
            return begin + match.start()
        begin += _BLOCK
    return -1
