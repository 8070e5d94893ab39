"""What synthetic speakers say: sentences of Python's help, lists of words, and short phrases as machines say them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.speech.spoken import sentences

_SPOKEN = """zero one two three four five six seven eight nine ten eleven twelve thirty forty sixty hundred"""
DIGITS = _SPOKEN.split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Help texts lack the words of everyday speech.
_EVERYDAY = """please thank you hello goodbye yes no wait stop start open close enter leave call number name room door
day night morning week month year hour minute second time today tomorrow yesterday monday tuesday wednesday thursday
friday saturday sunday january march june august october december left right first last new old next again press key
sound message record listen speak voice love heart home light dream world people water fire street music dance long away
never always nothing everything through around mother father brother sister child friend house school"""
EVERYDAY = _EVERYDAY.split()
SHARES = (0.4, 0.3, 0.3)  # sentences, lists of words, phrases


def texts(words: Sequence[str], seed: int) -> Iterator[str]:
    """Without end. ``words``: a dictionary's, for the lists."""
    rng = np.random.default_rng(seed)
    help_texts = sentences(seed)
    while True:
        kind = rng.choice(3, p=SHARES)
        if kind == 0:
            yield str(rng.choice(help_texts))
        elif kind == 1:
            yield ", ".join(rng.choice(words, rng.integers(2, 6))) + "."
        else:
            yield _phrase(rng)


def _phrase(rng: np.random.Generator) -> str:
    kind, count = rng.integers(3), rng.integers(2, 7)
    if kind == 0:
        return " ".join(rng.choice(DIGITS, count)) + "."
    if kind == 1:
        return ", ".join(rng.choice(list(LETTERS.upper()), count)) + "."
    return " ".join(rng.choice(EVERYDAY, count)) + "."
