"""MP3: several recordings that were joined into one file, told apart by their tags.

How long they are together is the sum of these: a recording with a Xing, Info or VBRI tag is as long as it would be in a
file of its own (less the encoder's delay and padding, where a LAME tag gives them); frames without such a tag
are 1152 samples each (576 at rates below 32 kHz), less the decoder's delay of 529. Recordings without a tag that follow
each other cannot be told from one, as whose frames they are taken: nothing is lost, and the delay is taken off once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastsvc.audio.mp3_chain import Chain, after_tags, follow, next_tagged, reservoir
from fastsvc.audio.view import Part

if TYPE_CHECKING:
    from fastsvc.audio.source import Source

_FEW = 4  # frames: so many more than a tag says are no recording of their own
_SURE = 3  # frames that prove that their header is no accident


@dataclass
class _Run:
    """A recording: its first frames, and where all lie; ``damaged``: what follows them is neither frame nor tag."""

    first: Chain
    pieces: list[tuple[int, int]]
    damaged: bool = False


def parts(source: Source | Part, start: int, most: int) -> tuple[list[Part], Chain]:
    """The recordings in the mp3 file at ``start``, none where there is only one, in one piece; its first frames.

    Where there are more than ``most``, some more than that. Raises OSError.
    """
    runs, place = [], start
    while len(runs) <= most:
        chain = follow(source, place)
        if not chain.frames or (runs and place == runs[-1].pieces[-1][1] and chain.tag is None and _accident(chain)):
            break
        _add(runs, source, place, chain)
        place = after_tags(source, chain.end)
        clean = follows(source, place)
        # Where the last frame is cut, the next recording begins within it.
        begins = next_tagged(source, chain.last + 1, chain.end if clean else source.size)
        if begins < 0 and not clean:
            break
        if begins >= 0:
            runs[-1].pieces[-1] = runs[-1].pieces[-1][0], begins
            runs[-1].damaged = True
            place = after_tags(source, begins)
    if not runs or (len(runs) == 1 and len(runs[0].pieces) == 1):
        return [], runs[0].first if runs else chain
    begin, _ = runs[-1].pieces[-1]
    runs[-1].pieces[-1] = begin, source.size
    return [Part(source, *run.pieces) for run in runs], runs[0].first


def follows(source: Source | Part, place: int) -> bool:
    """Whether at least a frame lies at ``place``."""
    return follow(Part(source, (place, place + (1 << 14))), 0).frames > 0


def _accident(chain: Chain) -> bool:
    """Whether a few bytes merely look like frames of another kind."""
    return chain.frames < _SURE


def _add(runs: list[_Run], source: Source | Part, place: int, chain: Chain) -> None:
    if runs and _goes_on(runs[-1], source, place, chain):
        runs[-1].pieces.append((place, chain.end))  # without the tags between them
        return
    if chain.beyond > _FEW and _ends_at_promise(source, place, chain):
        runs.append(_Run(chain, [(place, chain.promised)]))
        runs.append(_Run(chain._replace(tag=None), [(chain.promised, chain.end)]))
        return
    runs.append(_Run(chain, [(place, chain.end)]))


def _goes_on(last: _Run, source: Source | Part, place: int, chain: Chain) -> bool:
    """Whether one stream goes on there, or could: without tags nothing tells where another begins."""
    before, after = last.first.first, chain.first
    if last.damaged or chain.tag is not None or before is None or after is None or not before.like(after):
        return False
    return last.first.tag is None or reservoir(source, place)


def _ends_at_promise(source: Source | Part, place: int, chain: Chain) -> bool:
    """Whether a recording without a tag follows there; else the tag's count is wrong."""
    size, tag, first = chain.promised - place, chain.tag, chain.first
    assert tag is not None and first is not None, "a tag promised it"
    if tag.size and not size - 2 * first.size <= tag.size <= size + first.size:
        return False
    return not reservoir(source, chain.promised)
