"""Suffixes of recordings that fastsvc does not read, and counts of other suffixes in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

# In a folder these are skipped with a note. Suffixes in fastsvc.audio.io.EXTENSIONS are read.
_FOREIGN = (
    "aa aax ra ram rm rmvb mpc mpp ofr ofs dsf dff shn spx voc vox gsm qcp avi flv f4v ts m2ts mts mpg mpeg vob ogv "
    "ogx mid midi kar opus2 sd2 svx vqf xm mod it s3m mogg thd mlp"
)
FOREIGN = frozenset("." + suffix for suffix in _FOREIGN.split())
_KINDS = 6  # suffixes that are named; others are only counted


def kinds(names: Iterable[str]) -> Counter[str]:
    """The number of files of each suffix, in lower case; "" counts names without one."""
    return Counter(PurePath(name).suffix.lower() for name in names)


def count_text(counts: Counter[str]) -> str:
    """ "3 .mid, 1 .txt and 2 others", the most frequent first; "" for nothing."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{count} {suffix or 'without a suffix'}" for suffix, count in order[:_KINDS]]
    others = sum(count for _, count in order[_KINDS:])
    return ", ".join(parts) + (f" and {others} others" if others else "")
