"""Whether a recording is complete: the length in its headers is compared with the file's.

libsndfile accepts the rest of a cut file as a complete one. Only headers and the last pages are read, never the audio.
Sizes that programs write to a pipe for "unknown" promise nothing, nor do chunks after the audio.
"""

from __future__ import annotations

from fastsvc.audio import chunks, flac, mp3, ogg, trailing
from fastsvc.audio.file_bytes import FileBytes
from fastsvc.audio.file_part import FilePart, patched
from fastsvc.audio.magic import HEAD, container

_SLOPPY = 4096  # excess bytes that a header may promise where the size of the whole file agrees
_LARGEST_WAV = (1 << 32) - (1 << 16)  # bytes of audio
_STREAMS = {"flac": flac.fault, "mp3": mp3.fault, "ogg": ogg.fault}


def kind(source: FileBytes | FilePart) -> tuple[str, int]:
    """(name of the container or "", offset at which it begins: after ID3 tags)."""
    start = mp3.after_id3(source)
    head = source.at(start, HEAD)
    return container(head) or ("mp3" if start or mp3.frame(head) else ""), start


def fault(source: FileBytes | FilePart, name: str, start: int) -> str:
    """Why the recording of kind ``name`` at ``start`` is incomplete, or "" (complete, or nothing is promised)."""
    if name in _STREAMS:
        flac_part = ogg.flac_inside(source, start) if name == "ogg" else None
        return _STREAMS[name](source, start) or (flac.fault(flac_part, 0) if flac_part else "")
    audio = chunks.data(source, name, start) if name else None
    if audio is None or audio.size is None:
        return ""
    if audio.begin + audio.size - source.size > (_SLOPPY if audio.size_agrees else 0):
        stored = max(0, source.size - audio.begin)
        return f"cut short: holds {stored:,} of {audio.size:,} bytes of audio that its header promises"
    if unknown := trailing.unknown_bytes(source, name, audio):
        promised = f"its header promises {audio.size:,} bytes of audio"
        return f"damaged: {promised}, and {unknown:,} bytes follow that belong to nothing"
    return ""


def with_true_length(source: FileBytes | FilePart, name: str, start: int) -> FilePart | None:
    """The recording from its first byte on, with its true length in the header; None where libsndfile finds it itself.

    For mp3 see mp3.with_true_tag.
    """
    patches, end = {}, source.size
    if name == "ogg":
        flac_part = ogg.flac_inside(source, start)
        return flac_part and (with_true_length(flac_part, "flac", 0) or flac_part)
    if name == "flac":
        patches = flac.length_patch(source, start)
    elif name and (audio := chunks.data(source, name, start)):
        if audio.size is None:
            remaining, field = source.size - audio.begin + (24 if name == "w64" else 0), audio.field
            if name == "wav" and remaining >= _LARGEST_WAV:
                return chunks.as_rf64(source, start, audio)
            if name != "aiff" and 0 < remaining < 1 << 8 * field.width:  # libsndfile handles aiff itself
                patches = {field.offset: remaining.to_bytes(field.width, field.order)}
        elif name == "w64":  # libsndfile would read all bytes that follow as audio
            end = audio.begin + audio.size
    if not patches and end == source.size:
        return None
    return FilePart(patched(source, patches), (start, end))
