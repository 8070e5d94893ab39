"""The singers of a choir."""

from __future__ import annotations

import logging

from fastsvc import arguments
from fastsvc.data.choir import programs
from fastsvc.data.choir.singer import Singer, source_filter_singer, voice_singer

_log = logging.getLogger(__name__)


def roster(count: int, seed: int, voices: bool = True, dry: bool = False) -> list[Singer]:
    """``count`` source-filter singers, high and low in turn, then those made from installed voices.

    A singer depends on its index and the seed alone, never on count. Programs that are missing are logged.
    dry: without rooms and noise.
    """
    count, seed = arguments.whole_number("the number of singers", count, *arguments.SINGERS), arguments.seed(seed)
    singers = [source_filter_singer(index, seed) for index in range(count)]
    arguments.flag("dry", dry)
    if arguments.flag("voices", voices):
        singers += _from_programs(seed)
    return [singer.dry() for singer in singers] if dry else singers


def _from_programs(seed: int) -> list[Singer]:
    singers = []
    for program in ("flite", "espeak"):
        reason = programs.missing(program)
        names = [name for name, kind, _, _ in programs.VOICES if kind == program]
        if reason:
            _log.warning("The choir sings without %s: %s", ", ".join(names), reason)
    for tag, (name, kind, voice, f0_hz) in enumerate(programs.VOICES):
        if not programs.missing(kind):
            singers.append(voice_singer(name, kind, voice, f0_hz, seed, tag))
    return singers
