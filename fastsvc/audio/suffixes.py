"""Names of files: which are recordings that fastsvc does not read, and what a folder holds besides, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

# In a folder they are passed over, but not without a word. Those of fastsvc.audio.io.EXTENSIONS are read.
_FOREIGN = (
    "aa aax ra ram rm rmvb mpc mpp ofr ofs dsf dff shn spx voc vox gsm qcp avi flv f4v ts m2ts mts mpg mpeg vob ogv "
    "ogx mid midi kar opus2 sd2 svx vqf xm mod it s3m mogg thd mlp"
)
FOREIGN = frozenset("." + suffix for suffix in _FOREIGN.split())
_KINDS = 6  # that are named; the rest is counted


def kinds(names: Iterable[str]) -> Counter[str]:
    """How many there are of each suffix, in small letters; "" counts those without one."""
    return Counter(PurePath(name).suffix.lower() for name in names)


def told(counts: Counter[str]) -> str:
    """ "3 .mid, 1 .txt and 2 others", the most frequent first; "" for nothing."""
    order = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    parts = [f"{count} {suffix or 'without a suffix'}" for suffix, count in order[:_KINDS]]
    others = sum(count for _, count in order[_KINDS:])
    return ", ".join(parts) + (f" and {others} others" if others else "")
