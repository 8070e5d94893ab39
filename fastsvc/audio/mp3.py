"""MP3: whether a recording is as long as its tag promises, and a correct tag for recordings without one.

Without a tag libsndfile estimates the length from the first frames, often badly, and decodes no more than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsvc.audio.file_part import FilePart, patched
from fastsvc.audio.mp3_chain import ends, has_more
from fastsvc.audio.mp3_frame import HEAD, FrameHeader, Mp3Tag, after_id3, frame, tag

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes
    from fastsvc.audio.mp3_chain import FrameChain

__all__ = ["after_id3", "fault", "frame", "samples", "unread", "with_true_tag"]

_ESTIMATED_S = 0.1  # error of an estimated length


def fault(source: FileBytes | FilePart, start: int) -> str:
    """Why the stream is not as long as its header promises, or ""."""
    head = source.at(start, HEAD)
    header, tagged = frame(head), tag(head) or Mp3Tag()
    if header is None:
        return ""  # not a frame, after an ID3 tag: left to the decoder
    next_header = frame(source.at(start + header.size, 4)) if header.size else header
    if next_header is None and start + header.size < source.size:
        return "not an audio file: what looks like MP3 ends after one frame"
    if tagged.size > source.size:  # some sizes include the tags before the frames: decoding then shows what is missing
        return f"cut short: holds {source.size - start:,} of {tagged.size:,} bytes that its header promises"
    return ""


def with_true_tag(source: FileBytes | FilePart, start: int, chain: FrameChain) -> FilePart | None:
    """The stream with the true number of frames in its tag, or with a new tag; None where none is needed.

    Also None where other bytes lie between the frames: the number is unknown then. ``chain``: the stream's frames.
    """
    first, tagged = chain.first, chain.tag
    if first is None or first.layer != 1 or chain.frames < 2 or not ends(source, chain):
        return None
    if tagged is None:
        head = _new_tag(source, start, first, chain.frames, chain.end - start, chain.free)
        return FilePart(source, head, (start, source.size))
    count, size = chain.frames - 1, chain.end - start
    if tagged.frames_offset and (tagged.frames < count or _counts_too_many(tagged, count, size, start, first)):
        patches = {tagged.frames_offset: count}
        patches |= {tagged.size_offset: size} if tagged.size_offset else {}
        numbers = {start + offset: number.to_bytes(4, "big") for offset, number in sorted(patches.items())}
        return FilePart(patched(source, numbers), (start, source.size))
    if not tagged.frames_offset and first.size:
        begin = start + first.size
        second = frame(source.at(begin, 4))
        if second is not None:
            head = _new_tag(source, begin, second, count, chain.end - begin, 0)
            return FilePart(source, head, (begin, source.size))
    return None


def _counts_too_many(tagged: Mp3Tag, count: int, size: int, start: int, first: FrameHeader) -> bool:
    """Whether the tag counts more frames than there ever were, judged by its size in bytes where it has one."""
    if not tagged.size:
        return tagged.frames == count + 1  # the tag counts its own frame
    return tagged.frames > count and tagged.size in (size, size - first.size, size + start, size - first.size + start)


def _new_tag(source: FileBytes | FilePart, start: int, first: FrameHeader, count: int, size: int, free: int) -> bytes:
    """A first frame with a Xing tag, for the ``count`` frames of ``size`` bytes that begin with ``first``."""
    head = bytearray(source.at(start, 4))
    tag_offset = 4 + first.side
    head[1], head[2] = head[1] | 1, head[2] & ~2  # neither checksum nor padding
    while not free and _size(head) < tag_offset + 16:
        head[2] += 16  # the next bit rate
    length = free or _size(head)
    numbers = (3).to_bytes(4, "big") + count.to_bytes(4, "big") + (size + length).to_bytes(4, "big")
    return (bytes(head) + bytes(tag_offset - 4) + b"Xing" + numbers).ljust(length, b"\0")


def _size(head: bytearray) -> int:
    """Bytes of the frame with this valid header."""
    header = frame(head)
    assert header is not None, head
    return header.size


def samples(source: FileBytes | FilePart, chain: FrameChain) -> int:
    """Samples a channel of a stream of layer I or II, which have no tags; 0 for others, whose tag libsndfile reads."""
    if chain.first is None or chain.first.layer == 1 or not ends(source, chain):
        return 0
    return chain.frames * chain.first.samples


def unread(source: FileBytes | FilePart, chain: FrameChain, promised: int, samples: int) -> str:
    """What is wrong where ``samples`` were decoded and libsndfile announced ``promised``, or ""."""
    header, tagged_frames = chain.first, chain.tag.frames if chain.tag else 0
    if header is None or not chain.frames or tagged_frames:
        if promised > samples:
            return f"damaged or cut short: holds {samples:,} of {promised:,} samples that its header promises"
        longer = tagged_frames and (chain.beyond or has_more(source, chain))
        return "damaged: holds more than its header promises" if longer else ""
    available = chain.frames * header.samples
    if not ends(source, chain):  # other bytes lie between its frames
        available = max(available, promised - round(_ESTIMATED_S * header.rate_hz))
    if samples < available - 2 * 1152:
        return f"its header does not say how long it is, and only {samples:,} of {available:,} samples can be read"
    return ""
