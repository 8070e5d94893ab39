"""The containers that FFmpeg opens, recognised by their first bytes alone, and their suffixes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastsvc.audio import boxes, media_frames

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes

# Files of a folder are chosen by suffix.
_SUFFIXES = (
    "m4a m4b m4r m4p mp4 m4v mov 3gp 3g2 aac adts webm weba mkv mka wma wmv asf "
    "ape wv tta tak ac3 eac3 ec3 dts amr awb mp2"
)
EXTENSIONS = frozenset("." + suffix for suffix in _SUFFIXES.split())
_HEAD = 16
_WAVE, _OGG = 1024, 512  # first bytes that contain the first packets' headers
_OGG_CODECS = b"Speex   ", b"\x7fFLAC", b"theora", b"fishead"
# Codecs by Microsoft's numbers: layer II, of which libsndfile loses the end (mp3 is 0x55: fastsvc/audio/sounds.py);
# and Windows Media, ATRAC3, AAC, AC-3, DTS.
_MPEG = (0x50,)
_WAV = (0x160, 0x161, 0x162, 0x163, 0x270, 0xFF, 0x1600, 0x706D, 0x2000, 0x2001)


@dataclass(frozen=True)
class MediaKind:
    """``demuxer``: FFmpeg's name; ``what``: ours, for people. ``has_length``: the header has the length; ``exact``: to
    the sample; ``options``: of the demuxer."""

    name: str
    demuxer: str
    what: str
    has_length: bool = False
    exact: bool = False
    options: dict[str, str] = field(default_factory=dict)
    codec_options: dict[str, str] = field(default_factory=dict)


# FFmpeg then cuts nothing off at beginning and end. (Of ALAC in CAF it would cut the end twice.)
DECODE_ALL = {"flags2": "skip_manual"}
# The demuxer of QuickTime then follows neither files named in it (drefs) nor absolute paths.
_MOV = {"enable_drefs": "0", "use_absolute_path": "0"}
KINDS = {
    kind.name: kind
    for kind in (
        MediaKind("mp4", "mov", "an MP4, M4A or QuickTime file", has_length=True, options=_MOV),
        MediaKind("matroska", "matroska", "a Matroska or WebM file", has_length=True),
        MediaKind("asf", "asf", "a WMA (ASF) file", has_length=True),
        MediaKind("aac", "aac", "an AAC (ADTS) file"),
        MediaKind("ac3", "ac3", "an AC-3 file"),
        MediaKind("eac3", "eac3", "an E-AC-3 file"),
        MediaKind("dts", "dts", "a DTS file"),
        MediaKind("dtshd", "dtshd", "a DTS-HD file"),
        MediaKind("amr", "amr", "an AMR file"),
        MediaKind("ape", "ape", "a Monkey's Audio (APE) file", has_length=True, exact=True),
        MediaKind("wavpack", "wv", "a WavPack file", has_length=True, exact=True),
        MediaKind("tta", "tta", "a True Audio (TTA) file", has_length=True, exact=True),
        MediaKind("tak", "tak", "a TAK file", has_length=True, exact=True),
        # These are used where libsndfile knows the container but not the codec.
        MediaKind("caf", "caf", "a CAF file", has_length=True, codec_options=DECODE_ALL),
        MediaKind("wav", "wav", "a WAV file"),
        MediaKind("ogg", "ogg", "an Ogg file"),
    )
}
_MAGIC = {
    b"\x1aE\xdf\xa3": "matroska",
    b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel": "asf",
    b"\x7f\xfe\x80\x01": "dts",
    b"DTSHDHDR": "dtshd",
    b"#!AMR": "amr",
    b"MAC ": "ape",
    b"wvpk": "wavpack",
    b"TTA1": "tta",
    b"tBaK": "tak",
}


def find(source: FileBytes, start: int) -> MediaKind | None:
    """The kind of the recording that begins at ``start`` if FFmpeg reads it, else None. Raises OSError."""
    head = source.at(start, _HEAD)
    if head[4:8] in boxes.FIRST and _plausible(head, source.size - start):
        return KINDS["mp4"]
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE" and _codec(source.at(start, _WAVE)) in _MPEG:
        return KINDS["wav"]
    if head[:2] == b"\x0bw" and len(head) > 5:
        return KINDS["eac3" if head[5] >> 3 > 10 else "ac3"]
    if size := media_frames.adts(head):
        next_head = source.at(start + size, 8)
        follows = media_frames.adts(next_head) or next_head[:3] in (b"TAG", b"APE", b"")
        return KINDS["aac"] if follows or len(next_head) < 7 else None
    return next((KINDS[name] for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def instead(source: FileBytes, start: int, name: str) -> MediaKind | None:
    """The kind for FFmpeg of a libsndfile container (``name`` as in completeness.kind) whose codec libsndfile lacks."""
    head = source.at(start, _WAVE)
    if name == "caf":
        foreign = head[28:32] not in (b"lpcm", b"ulaw", b"alaw", b"ima4")
    elif name == "wav":
        foreign = _codec(head) in _WAV
    else:
        foreign = name == "ogg" and any(magic in head[:_OGG] for magic in _OGG_CODECS)
    return KINDS[name] if foreign else None


def _plausible(head: bytes, size: int) -> bool:
    first = int.from_bytes(head[:4], "big")
    return head[4:8] == b"ftyp" or first in (0, 1) or 8 <= first <= size


def _codec(head: bytes) -> int:
    """The codec of a WAV, by Microsoft's numbers; -1: not found."""
    offset = head.find(b"fmt ")
    return int.from_bytes(head[offset + 8 : offset + 10], "little") if offset > 0 else -1
