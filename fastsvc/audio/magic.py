"""Kinds of files by their first bytes."""

from __future__ import annotations

HEAD = 16  # first bytes that identify the kind
W64_RIFF = b"riff.\x91\xcf\x11\xa5\xd6(\xdb\x04\xc1\x00\x00"
_MAGIC = {"ogg": b"OggS", "flac": b"fLaC", "caf": b"caff", "w64": W64_RIFF, "nist": b"NIST_1A"}


def container(head: bytes) -> str:
    """The kind of file that begins with ``head``, "" for others; mp3 has no bytes that identify it for certain."""
    for name, magic in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC", b"8SVX", b"16SV"):
        return "aiff"
    return "au" if head[:4] in (b".snd", b"dns.") else ""
