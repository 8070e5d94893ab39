"""Which containers FFmpeg is asked to open, told by their first bytes alone, and by which suffixes people know them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastsvc.audio import boxes, media_frames

if TYPE_CHECKING:
    from fastsvc.audio.source import Source

# Files of a folder are chosen by it.
_SUFFIXES = (
    "m4a m4b m4r m4p mp4 m4v mov 3gp 3g2 aac adts webm weba mkv mka wma wmv asf "
    "ape wv tta tak ac3 eac3 ec3 dts amr awb mp2"
)
EXTENSIONS = frozenset("." + suffix for suffix in _SUFFIXES.split())
_HEAD = 16
_WAVE, _OGG = 1024, 512  # bytes in which the first packets lie
_OGG_CODECS = b"Speex   ", b"\x7fFLAC", b"theora", b"fishead"
# Codecs by Microsoft's numbers: layer II, of which libsndfile loses the end (mp3 is 0x55: fastsvc/audio/sounds.py);
# and Windows Media, ATRAC3, AAC, AC-3, DTS.
_MPEG = (0x50,)
_WAV = (0x160, 0x161, 0x162, 0x163, 0x270, 0xFF, 0x1600, 0x706D, 0x2000, 0x2001)


@dataclass(frozen=True)
class Kind:
    """``demuxer``: FFmpeg's name; ``what``: ours, for people. ``said``: the header says how long it is, ``exact``: to
    the sample; ``options`` are the demuxer's."""

    name: str
    demuxer: str
    what: str
    said: bool = False
    exact: bool = False
    options: dict[str, str] = field(default_factory=dict)
    codec_options: dict[str, str] = field(default_factory=dict)


# All that is decoded: FFmpeg takes nothing from beginning and end. (Of ALAC in CAF it takes the end off twice.)
WHOLE = {"flags2": "skip_manual"}
# Neither files named in it (drefs) nor paths of its own are followed by the demuxer of QuickTime.
_MOV = {"enable_drefs": "0", "use_absolute_path": "0"}
KINDS = {
    kind.name: kind
    for kind in (
        Kind("mp4", "mov", "an MP4, M4A or QuickTime file", said=True, options=_MOV),
        Kind("matroska", "matroska", "a Matroska or WebM file", said=True),
        Kind("asf", "asf", "a WMA (ASF) file", said=True),
        Kind("aac", "aac", "an AAC (ADTS) file"),
        Kind("ac3", "ac3", "an AC-3 file"),
        Kind("eac3", "eac3", "an E-AC-3 file"),
        Kind("dts", "dts", "a DTS file"),
        Kind("dtshd", "dtshd", "a DTS-HD file"),
        Kind("amr", "amr", "an AMR file"),
        Kind("ape", "ape", "a Monkey's Audio (APE) file", said=True, exact=True),
        Kind("wavpack", "wv", "a WavPack file", said=True, exact=True),
        Kind("tta", "tta", "a True Audio (TTA) file", said=True, exact=True),
        Kind("tak", "tak", "a TAK file", said=True, exact=True),
        # These are asked for where libsndfile knows the container and not the codec.
        Kind("caf", "caf", "a CAF file", said=True, codec_options=WHOLE),
        Kind("wav", "wav", "a WAV file"),
        Kind("ogg", "ogg", "an Ogg file"),
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


def find(source: Source, start: int) -> Kind | None:
    """The kind of what begins at ``start``, if FFmpeg shall read it. Raises OSError."""
    head = source.at(start, _HEAD)
    if head[4:8] in boxes.FIRST and _plausible(head, source.size - start):
        return KINDS["mp4"]
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE" and _codec(source.at(start, _WAVE)) in _MPEG:
        return KINDS["wav"]
    if head[:2] == b"\x0bw" and len(head) > 5:
        return KINDS["eac3" if head[5] >> 3 > 10 else "ac3"]
    if size := media_frames.adts(head):
        after = source.at(start + size, 8)
        follows = media_frames.adts(after) or after[:3] in (b"TAG", b"APE", b"")
        return KINDS["aac"] if follows or len(after) < 7 else None
    return next((KINDS[name] for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def instead(source: Source, start: int, name: str) -> Kind | None:
    """What reads a container of libsndfile's, ``name`` as in whole.kind, in a codec that libsndfile lacks."""
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
    """Of a WAV, by Microsoft's numbers; -1: not found."""
    place = head.find(b"fmt ")
    return int.from_bytes(head[place + 8 : place + 10], "little") if place > 0 else -1
