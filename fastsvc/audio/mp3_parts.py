"""MP3: several recordings that were joined into one file, separated by their tags.

Their length is the sum of these: a recording with a Xing, Info or VBRI tag is as long as in its own file (less the
encoder's delay and padding, where a LAME tag gives them); frames without such a tag are 1152 samples each (576 at rates
below 32 kHz), less the decoder's delay of 529. Successive recordings without a tag cannot be distinguished from one
recording and count as one: nothing is lost, and the delay is subtracted once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastsvc.audio.file_part import FilePart
from fastsvc.audio.mp3_chain import FrameChain, after_tags, follow, next_tagged, reservoir

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes

_MISCOUNTED = 4  # frames: up to this many more than a tag says are not a separate recording
_SURE = 3  # frames that prove that their headers are not accidental bytes


@dataclass
class _Run:
    """A recording: its first frames, and the pieces of all; ``damaged``: neither a frame nor a tag follows them."""

    first: FrameChain
    pieces: list[tuple[int, int]]
    damaged: bool = False


def parts(source: FileBytes | FilePart, start: int, most: int) -> tuple[list[FilePart], FrameChain]:
    """(the recordings in the mp3 file at ``start``, [] for a single one in one piece; the first one's frames).

    Stops a little after ``most`` recordings. Raises OSError.
    """
    runs, offset = [], start
    while len(runs) <= most:
        chain = follow(source, offset)
        if not chain.frames or (
            runs and offset == runs[-1].pieces[-1][1] and chain.tag is None and _is_accident(chain)
        ):
            break
        _add(runs, source, offset, chain)
        offset = after_tags(source, chain.end)
        frame_follows = follows(source, offset)
        # Where the last frame is cut, the next recording begins within its length.
        next_start = next_tagged(source, chain.last + 1, chain.end if frame_follows else source.size)
        if next_start < 0 and not frame_follows:
            break
        if next_start >= 0:
            runs[-1].pieces[-1] = runs[-1].pieces[-1][0], next_start
            runs[-1].damaged = True
            offset = after_tags(source, next_start)
    if not runs or (len(runs) == 1 and len(runs[0].pieces) == 1):
        return [], runs[0].first if runs else chain
    begin, _ = runs[-1].pieces[-1]
    runs[-1].pieces[-1] = begin, source.size
    return [FilePart(source, *run.pieces) for run in runs], runs[0].first


def follows(source: FileBytes | FilePart, offset: int) -> bool:
    """Whether a frame begins at ``offset``."""
    return follow(FilePart(source, (offset, offset + (1 << 14))), 0).frames > 0


def _is_accident(chain: FrameChain) -> bool:
    """Whether a few bytes merely look like frames of another kind."""
    return chain.frames < _SURE


def _add(runs: list[_Run], source: FileBytes | FilePart, offset: int, chain: FrameChain) -> None:
    if runs and _continues(runs[-1], source, offset, chain):
        runs[-1].pieces.append((offset, chain.end))  # without the tags between them
        return
    if chain.beyond > _MISCOUNTED and _ends_at_promise(source, offset, chain):
        runs.append(_Run(chain, [(offset, chain.promised)]))
        runs.append(_Run(chain._replace(tag=None), [(chain.promised, chain.end)]))
        return
    runs.append(_Run(chain, [(offset, chain.end)]))


def _continues(last: _Run, source: FileBytes | FilePart, offset: int, chain: FrameChain) -> bool:
    """Whether the last stream continues at ``offset``, or may: without tags another one's start is not recognisable."""
    before, after = last.first.first, chain.first
    if last.damaged or chain.tag is not None or before is None or after is None or not before.like(after):
        return False
    return last.first.tag is None or reservoir(source, offset)


def _ends_at_promise(source: FileBytes | FilePart, offset: int, chain: FrameChain) -> bool:
    """Whether a recording without a tag follows the promised frames; otherwise the tag's count is wrong."""
    size, tag, first = chain.promised - offset, chain.tag, chain.first
    assert tag is not None and first is not None, "a tag promised it"
    if tag.size and not size - 2 * first.size <= tag.size <= size + first.size:
        return False
    return not reservoir(source, chain.promised)
