"""Documents with one value replaced by something that no honest program writes there."""

import copy
import math
import random
import time
import warnings

from fastsvc.errors import FastsvcError

GONE = object()  # the key itself is taken away
NESTED = {"a": [{"b": [[1, {"c": None}]]}]}
VALUES = [None, [], {}, "", "x" * 10, -1, 0, 1e308, -1e308, 1e-320, math.nan, math.inf, -math.inf]
VALUES += [2**31, 2**63, 10**30, True, False, NESTED, [0], ["x"], [NESTED], 0.5, 7, "1", "\x00\x1b[31m", GONE]
SECONDS = 5.0  # of the processor that a mutant may take; the honest document takes some hundredths


def paths(document, most: int = 2, before=()):
    """Ways to every value of a document; of lists to the first ``most``."""
    if isinstance(document, dict):
        pairs = list(document.items())
    elif isinstance(document, (list, tuple)):
        pairs = list(enumerate(document))[:most]
    else:
        return
    for key, value in pairs:
        yield (*before, key)
        yield from paths(value, most, (*before, key))


def replaced(document, way, value):
    made = copy.deepcopy(document)
    place = made
    for key in way[:-1]:
        place = place[key]
    if value is GONE:
        del place[way[-1]]
    else:
        place[way[-1]] = value
    return made


def mutants(document, count: int | None = None, seed: int = 0):
    """(name, mutated document) of every key and value, or of a seeded ``count`` of them."""
    every = [(way, value) for way in paths(document) for value in VALUES]
    if count is not None:
        every = random.Random(seed).sample(every, min(count, len(every)))
    for way, value in every:
        shown = "gone" if value is GONE else repr(value)[:30]
        yield f"{'.'.join(map(str, way))} = {shown}", replaced(document, way, value)


def judged(name: str, use) -> str | None:
    """What ``use()`` said when it refused; None where it worked. Fails for any other end, and for slow ones."""
    start = time.thread_time()  # others keep a busy machine waiting
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use()
        said = None
    except FastsvcError as error:
        said = str(error)
        assert "\n" not in said and len(said) < 50_000, (name, said[:300])
    except Exception as error:
        raise AssertionError(f"{name}: {type(error).__name__}: {str(error)[:300]}") from error
    spent = time.thread_time() - start
    assert spent < SECONDS, f"{name} took {spent:.1f} s"
    return said
