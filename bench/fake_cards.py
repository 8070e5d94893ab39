"""Two sound cards that files play, in a time of their own: a minute passes as fast as it is computed.

The input card brings a call's samples when their time is over, the output card asks for a call's when it begins. The
worker's time counts: what it computes comes as much later as it took by ``spent``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def played(
    live,
    clock: Clock,
    audio: np.ndarray,
    *,
    in_s: float = 0.01,
    out_s: float = 0.01,
    fast: float = 0.0,
    spent: Callable[[], float] = time.process_time,
    before: Callable[[float], None] = lambda now: None,
    lost: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """What ``live``, which has this ``clock`` and no running worker, plays while ``audio`` [samples] is recorded.

    ``fast``: how much faster the output card's clock runs, 1e-6 for 1 ppm. ``before``: called at each call's time.
    ``lost``: seconds from … to, between which the input card brings nothing.
    """
    in_size, out_size = round(in_s * live.rate_hz), round(out_s * live.out_hz)
    taken, asked, pieces, busy = 0, 0, [], None
    while taken < len(audio):
        times = {
            "done": busy[0] if busy else math.inf,
            "in": (taken + in_size) / live.rate_hz,
            "out": asked / (live.out_hz * (1 + fast)),
        }
        what = min(times, key=times.__getitem__)
        clock.now = times[what]
        if what == "done":
            live.give(*busy[1])
            busy = None
        elif what == "in":
            before(clock.now)
            if not lost[0] < clock.now <= lost[1]:
                live.record(audio[taken : taken + in_size].copy())
            taken += in_size
        else:
            pieces.append(live.play(out_size))
            asked += out_size
        if busy is None and live.incoming:
            start = spent()
            result = live.make(live.take())
            busy = clock.now + spent() - start, result
    return np.concatenate(pieces)
