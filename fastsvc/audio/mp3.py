"""MP3: whether a recording is all there by what its tag promises, and a tag that says the truth where it has none.

Without one libsndfile estimates how long it is by the first frames, often far from the truth, and decodes no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsvc.audio.mp3_chain import ends, more
from fastsvc.audio.mp3_frame import HEAD, Frame, Tag, after_id3, frame, tag
from fastsvc.audio.view import Part, patched

if TYPE_CHECKING:
    from fastsvc.audio.mp3_chain import Chain
    from fastsvc.audio.source import Source

__all__ = ["after_id3", "fault", "frame", "samples", "unread", "view"]

_ESTIMATED_S = 0.1  # how far off the length may be that is estimated


def fault(source: Source | Part, start: int) -> str:
    """Why the stream is not what its header promises, or ""."""
    head = source.at(start, HEAD)
    first, named = frame(head), tag(head) or Tag()
    if first is None:
        return ""  # after a tag: left to the decoder
    follows = frame(source.at(start + first.size, 4)) if first.size else first
    if follows is None and start + first.size < source.size:
        return "not an audio file: what looks like MP3 ends after one frame"
    if named.size > source.size:  # some count tags before the frames in: what is missing then is seen when decoding
        return f"cut short: holds {source.size - start:,} of {named.size:,} bytes that its header promises"
    return ""


def view(source: Source | Part, start: int, chain: Chain) -> Part | None:
    """The stream with its true number of frames in its tag, or with such a tag; None where nothing is to be mended.

    Also None where something else lies between the frames: then nobody knows. ``chain``: its frames.
    """
    first, named = chain.first, chain.tag
    if first is None or first.layer != 1 or chain.frames < 2 or not ends(source, chain):
        return None
    if named is None:
        head = _new_tag(source, start, first, chain.frames, chain.end - start, chain.free)
        return Part(source, head, (start, source.size))
    count, size = chain.frames - 1, chain.end - start
    if named.frames_place and (named.frames < count or _too_many(named, count, size, start, first)):
        patches = {named.frames_place: count}
        patches |= {named.size_place: size} if named.size_place else {}
        numbers = {start + place: number.to_bytes(4, "big") for place, number in sorted(patches.items())}
        return Part(patched(source, numbers), (start, source.size))
    if not named.frames_place and first.size:
        begin = start + first.size
        second = frame(source.at(begin, 4))
        if second is not None:
            head = _new_tag(source, begin, second, count, chain.end - begin, 0)
            return Part(source, head, (begin, source.size))
    return None


def _too_many(named: Tag, count: int, size: int, start: int, first: Frame) -> bool:
    """Whether ``count`` frames are all that there ever were: by the bytes that are promised, where they are."""
    if not named.size:
        return named.frames == count + 1  # it counts itself
    return named.frames > count and named.size in (size, size - first.size, size + start, size - first.size + start)


def _new_tag(source: Source | Part, start: int, first: Frame, count: int, size: int, free: int) -> bytes:
    """A first frame with a Xing tag, for the ``count`` frames of ``size`` bytes that begin with ``first``."""
    head = bytearray(source.at(start, 4))
    at = 4 + first.side
    head[1], head[2] = head[1] | 1, head[2] & ~2  # neither checksum nor padding
    while not free and _size(head) < at + 16:
        head[2] += 16  # the next bit rate
    length = free or _size(head)
    numbers = (3).to_bytes(4, "big") + count.to_bytes(4, "big") + (size + length).to_bytes(4, "big")
    return (bytes(head) + bytes(at - 4) + b"Xing" + numbers).ljust(length, b"\0")


def _size(head: bytearray) -> int:
    """Bytes of a frame by its header, which there is."""
    found = frame(head)
    assert found is not None, head
    return found.size


def samples(source: Source | Part, chain: Chain) -> int:
    """Of each channel, of a stream of layer I or II, which have no tags; 0 of others, where a tag tells libsndfile."""
    if chain.first is None or chain.first.layer == 1 or not ends(source, chain):
        return 0
    return chain.frames * chain.first.samples


def unread(source: Source | Part, chain: Chain, promised: int, samples: int) -> str:
    """What is wrong where ``samples`` were decoded and libsndfile ``promised`` so many, or ""."""
    first, count = chain.first, chain.tag.frames if chain.tag else 0
    if first is None or not chain.frames or count:
        if promised > samples:
            return f"damaged or cut short: holds {samples:,} of {promised:,} samples that its header promises"
        longer = count and (chain.beyond or more(source, chain))
        return "damaged: holds more than its header promises" if longer else ""
    there = chain.frames * first.samples
    if not ends(source, chain):  # something else lies between its frames
        there = max(there, promised - round(_ESTIMATED_S * first.rate_hz))
    if samples < there - 2 * 1152:
        return f"its header does not say how long it is, and only {samples:,} of {there:,} samples can be read"
    return ""
