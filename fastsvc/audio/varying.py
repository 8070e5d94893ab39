"""Change of sample rate by a ratio that may vary while it runs: between two sound cards, each of which has its clock.

A windowed sinc (Kaiser) of REACH samples to each side, from a table of PHASES places between two samples and a straight
line between these. At equal rates it is flat to about 0.43 of the rate and errs by less than 1e-4 up to there.
"""

from __future__ import annotations

import functools

import numpy as np

REACH = 16  # samples of the lower rate, to each side
PHASES = 512
STOP_DB = 80.0


class VaryingResampler:
    """Samples at about ``from_hz`` in, samples at about ``to_hz`` out, piece by piece.

    ``position``: of the next output sample, in input samples from the first one on.
    """

    def __init__(self, from_hz: int, to_hz: int):
        self.step, self.table = from_hz / to_hz, _table(max(1.0, from_hz / to_hz))
        self.taps = self.table.shape[1]
        self.position, self.begin = 0.0, -(self.taps // 2)
        self.kept = np.zeros(self.taps // 2, np.float32)  # input from sample ``begin`` on

    @property
    def reach(self) -> int:
        """How many input samples beyond its place an output sample needs."""
        return self.taps // 2

    def __call__(self, samples: np.ndarray, ratio: float = 1.0) -> np.ndarray:
        """float32 [n] → float32, all that is final now. ``ratio`` times as much input is used for a sample."""
        self.kept, step = np.concatenate((self.kept, samples)), self.step * ratio
        last = self.begin + len(self.kept) - self.reach - 1  # the place of an output sample may be at most there
        if last < self.position:
            return np.zeros(0, np.float32)
        count = int((last - self.position) // step) + 1
        places = self.position + step * np.arange(count)
        whole = np.floor(places).astype(np.int64)
        phases = (places - whole) * PHASES
        rows = phases.astype(np.int64)
        share = (phases - rows).astype(np.float32)[:, None]
        taps = self.table[rows] + share * (self.table[rows + 1] - self.table[rows])
        windows = np.lib.stride_tricks.sliding_window_view(self.kept, self.taps)
        output = np.einsum("nk,nk->n", windows[whole - self.begin - self.reach + 1], taps)
        self.position += step * count
        unused = max(0, int(self.position) - self.reach + 1 - self.begin)
        self.kept, self.begin = self.kept[unused:].copy(), self.begin + unused
        return output.astype(np.float32)


@functools.lru_cache(maxsize=8)
def _table(scale: float) -> np.ndarray:
    """[PHASES + 1, taps]: the filter of each place between two samples; ``scale``: input samples an output sample."""
    reach = int(np.ceil(REACH * scale))
    away = np.arange(-reach + 1, reach + 1) - np.arange(PHASES + 1)[:, None] / PHASES
    inside = np.clip(1 - np.square(away / reach), 0, None)
    taps = np.sinc(away / scale) * np.i0(0.1102 * (STOP_DB - 8.7) * np.sqrt(inside))
    return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)  # each row passes a constant unchanged
