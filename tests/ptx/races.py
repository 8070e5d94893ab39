"""Who touched which bytes last: two warps without a barrier between them, or two blocks, must not touch the same.

A stamp is block · 2³² + barriers passed · 2⁶ + warp. Granules are of two bytes, the smallest type of the kernels.
"""

from __future__ import annotations

import numpy as np

GRANULE, WIDEST = 2, 16  # bytes of a granule, of an access
NOBODY = -1
BARRIER = 1 << 6  # what a barrier adds to a stamp
SEVERAL_WARPS = 63  # in a stamp, as its warp
SEVERAL_BLOCKS = 2**61
IN_FLIGHT = 2**62  # an asynchronous copy or product, until it is awaited: at odds with everyone


def stamps(blocks: np.ndarray, warps: np.ndarray) -> np.ndarray:
    """Before the first barrier."""
    return (blocks.astype(np.int64) << 32) | warps.astype(np.int64)


def at_odds(old: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Whether nothing orders an earlier access before one's own: another block, or another warp since the barrier."""
    return (old >= 0) & (old != own) & ((old >> 6 == own >> 6) | (old >> 32 != own >> 32))


class AccessLog:
    """The last write and the reads of every granule of one memory."""

    def __init__(self, size: int):
        count = -(-size // WIDEST) * WIDEST // GRANULE
        self.written = np.full(count, NOBODY, np.int64)
        self.read = np.full(count, NOBODY, np.int64)

    def reading(self, at: np.ndarray, size: int, own: np.ndarray) -> np.ndarray:
        """Notes reads of ``size`` bytes at ``at`` by stamps ``own`` → the stamps of writes that are at odds, [≥ 0]."""
        (written, read), row = self._rows(size), at // max(size, GRANULE)
        own = np.broadcast_to(own[:, None], (len(at), read.shape[1]))
        seen, old = read[row], written[row]
        if not (seen == SEVERAL_BLOCKS).all():
            noted = merged(seen, own)
            read[row] = noted
            after = read[row]  # of lanes that read the same granule at once, one has written its stamp
            if (after != noted).any():
                read[row] = merged(after, own)
        return old[at_odds(old, own)] if (old >= 0).any() else old[:0, 0]

    def writing(self, at: np.ndarray, size: int, own: np.ndarray, changed=None) -> np.ndarray:
        """Notes writes → the stamps of reads and writes that are at odds; of writes, where ``changed`` [n, granules].

        (Warps that hold copies of the same numbers may store them all, which changes nothing.)
        """
        (written, read), row = self._rows(size), at // max(size, GRANULE)
        own = np.broadcast_to(own[:, None], (len(at), read.shape[1]))
        reads, writes = read[row], written[row]
        odd = at_odds(writes, own)
        found = [reads[at_odds(reads, own)], writes[odd if changed is None else odd & changed]]
        written[row] = own
        if changed is None:
            after = written[row]  # of threads that write one granule at once, one has left its stamp
            found.append(after[at_odds(after, own)])
        return np.concatenate(found)

    def _rows(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Writes and reads by accesses of ``size`` bytes, [n, granules of one]."""
        count = max(size, GRANULE) // GRANULE
        return self.written.reshape(-1, count), self.read.reshape(-1, count)


def merged(old: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The stamp of readers ``old`` and ``own`` together; earlier readers of one's own block are behind a barrier."""
    if not (old >= 0).any():
        return own
    odd = at_odds(old, own)
    together = np.where(old >> 32 == own >> 32, own | SEVERAL_WARPS, SEVERAL_BLOCKS)
    return np.where(odd, np.where(old == IN_FLIGHT, IN_FLIGHT, together), own)


def granules(at: np.ndarray, size: int) -> np.ndarray:
    """Addresses [n] → the places of each access [n, k]."""
    return (at // GRANULE)[:, None] + np.arange(-(-size // GRANULE))
