"""MP3: headers of frames, and the tag in the first of them (Xing, Info or VBRI)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes
    from fastsvc.audio.file_part import FilePart

_RATES = ((11025, 12000, 8000), (), (22050, 24000, 16000), (44100, 48000, 32000))  # by version 2.5, -, 2, 1
_KBITS = {
    (3, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),  # version 1, layer I
    (3, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_KBITS[2, 1] = _KBITS[2, 2]
_MOST_TAGS = 8
_VBRI = 36  # offset of a VBRI tag in a frame of any kind
HEAD = 256  # bytes of a frame up to the end of its tag's numbers


class FrameHeader(NamedTuple):
    """The header of a frame. ``size`` in bytes, 0 in the "free" format; ``padding``: those bytes of it."""

    rate_hz: int
    mono: bool
    version: int
    layer: int
    size: int
    padding: int = 0

    @property
    def samples(self) -> int:
        """Samples a channel."""
        return 384 if self.layer == 3 else 576 if self.layer == 1 and self.version != 3 else 1152

    @property
    def side(self) -> int:
        """Bytes between the header and the main data, in layer III."""
        return (17 if self.mono else 32) if self.version == 3 else (9 if self.mono else 17)

    def like(self, other: FrameHeader) -> bool:
        """Whether one decoder can decode both frames in turn."""
        return self[:4] == other[:4]


class Mp3Tag(NamedTuple):
    """The promises of a tag: ``frames`` after its own, ``size`` in bytes from its frame on; 0: unknown.

    ``frames_offset`` and ``size_offset``: offsets of these numbers, of 4 bytes, in the frame; 0: missing.
    """

    frames: int = 0
    size: int = 0
    frames_offset: int = 0
    size_offset: int = 0


def after_id3(source: FileBytes | FilePart, offset: int = 0) -> int:
    """The offset after any ID3v2 tags at ``offset``."""
    for _ in range(_MOST_TAGS):
        head = source.at(offset, 10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 127:
            break
        offset += 10 + sum(byte << 7 * (3 - i) for i, byte in enumerate(head[6:]))
        offset += 10 if head[5] & 16 and source.at(offset, 3) == b"3DI" else 0
    return offset


def frame(head: bytes | bytearray) -> FrameHeader | None:
    """The frame header at the beginning of ``head``, if there is one."""
    return _frame(bytes(head[:4]))


@lru_cache(4096)
def _frame(head: bytes) -> FrameHeader | None:
    if len(head) < 4 or head[0] != 255 or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, bits, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 0 or bits == 15 or rate == 3:
        return None
    rate_hz, kbits = _RATES[version][rate], _KBITS[max(version, 2), layer][bits]
    padding = head[2] >> 1 & 1
    if layer == 3:
        size = (12000 * kbits // rate_hz + padding) * 4 if kbits else 0
    else:
        size = (72000 if layer == 1 and version != 3 else 144000) * kbits // rate_hz + padding if kbits else 0
    return FrameHeader(rate_hz, head[3] >> 6 == 3, version, layer, size, padding * (4 if layer == 3 else 1))


def tag(head: bytes) -> Mp3Tag | None:
    """The tag in the frame at the beginning of ``head``, of HEAD bytes."""
    first = frame(head)
    if first is None or first.layer != 1:
        return None
    for offset in (4 + first.side, 6 + first.side):  # after a checksum some programs write it later
        if head[offset : offset + 4] in (b"Xing", b"Info") and len(head) >= offset + 8:
            flags, offset = int.from_bytes(head[offset + 4 : offset + 8], "big"), offset + 8
            frames_offset = offset if flags & 1 else 0
            size_offset = offset + (4 if flags & 1 else 0) if flags & 2 else 0
            return Mp3Tag(_number(head, frames_offset), _number(head, size_offset), frames_offset, size_offset)
    if head[_VBRI : _VBRI + 4] == b"VBRI":
        return Mp3Tag(_number(head, 50), _number(head, 46), 50, 46)
    return None


def _number(head: bytes, offset: int) -> int:
    """The number at ``offset``; 0 for values near 2^31 and 2^32, which programs write for "unknown"."""
    number = int.from_bytes(head[offset : offset + 4], "big") if offset else 0
    return 0 if 0x7FFF0000 <= number <= 0x80000000 or number >= 0xFFFF0000 else number
