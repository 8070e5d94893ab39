"""Atomic adds, and what they order: a block that acquires a count sees what was done before it was released.

Each block has a clock: of every other block, how many barriers it had passed when what it did before was last seen. A
release takes the clock of its block along, an acquire brings it to another one, for all of whose threads it holds after
their next barrier. Accesses of two blocks to one place are in order if the clocks say so.
"""

from __future__ import annotations

import numpy as np

from ptx import kinds
from ptx.accesses import ADDRESS
from ptx.faults import Unsupported
from ptx.operations import decoder
from ptx.races import GRANULE, AccessLog


def block_of(stamps: np.ndarray) -> np.ndarray:
    return stamps >> 32


def barriers(stamps: np.ndarray) -> np.ndarray:
    """How many a block had passed."""
    return (stamps & 0xFFFFFFFF) >> 6


class OrderedLog(AccessLog):
    """As AccessLog, of blocks that wait for one another. Warps of one block are not told apart."""

    def __init__(self, size: int, blocks: int):
        super().__init__(size)
        self.readers = np.full((len(self.written), blocks), -1, np.int64)  # by which, after how many barriers
        self.known, self.pending = (np.zeros((blocks, blocks), np.int64) for _ in range(2))
        self.released: dict[int, np.ndarray] = {}  # a count's place → the clocks that it carries

    def reading(self, at: np.ndarray, size: int, own: np.ndarray) -> np.ndarray:
        places = self._places(at, size)
        own = np.broadcast_to(own[:, None], places.shape)
        self.readers[places, block_of(own)] = barriers(own)
        old = self.written[places]
        return old[self._unordered(block_of(old), barriers(old), old, own)]

    def writing(self, at: np.ndarray, size: int, own: np.ndarray, changed=None) -> np.ndarray:
        places = self._places(at, size)
        own = np.broadcast_to(own[:, None], places.shape)
        old, readers = self.written[places], self.readers[places]
        others = np.arange(readers.shape[-1])
        unseen = self._unordered(others, readers, readers, own[..., None])
        self.written[places] = own
        return np.concatenate([old[self._unordered(block_of(old), barriers(old), old, own)], readers[unseen]])

    def _unordered(self, block, count, old, own) -> np.ndarray:
        mine = block_of(own)
        nobody = old < 0
        known = self.known[mine, np.where(nobody, 0, block)]
        return ~nobody & (block != mine) & (count >= known)

    def _places(self, at: np.ndarray, size: int) -> np.ndarray:
        return (at // GRANULE)[:, None] + np.arange(max(1, size // GRANULE))

    def release(self, place: int, stamp: int) -> None:
        """By a thread, of all that its block did before the last barrier, and of all that it has seen."""
        mine = stamp >> 32
        clock = self.known[mine].copy()
        clock[mine] = barriers(np.int64(stamp))
        self.released[place] = np.maximum(self.released.get(place, 0), clock)

    def acquire(self, place: int, stamp: int) -> None:
        mine = stamp >> 32
        self.pending[mine] = np.maximum(self.pending[mine], self.released.get(place, 0))

    def pass_barrier(self, blocks: np.ndarray) -> None:
        self.known[blocks] = np.maximum(self.known[blocks], self.pending[blocks])


@decoder("atom", "red")
def atomic(instruction):
    """Adds of 32 bits to global memory, one lane after another; whoever acquires lets other blocks go on."""
    modifiers = set(instruction.modifiers)
    if not {"global", "gpu", "add"} <= modifiers or not modifiers & {"u32", "s32"}:
        raise Unsupported(f"an atomic operation: {instruction.text!r}")
    *target, memory, value = instruction.arguments
    dtype = kinds.UNSIGNED[32]
    acquires, releases = bool(modifiers & {"acquire", "acq_rel"}), bool(modifiers & {"release", "acq_rel"})

    def run(machine, active):
        lanes = machine.lanes(active)
        address = memory.address(machine, ADDRESS["global"], active)
        added = machine.spread(value.value(machine, dtype, active), active)
        at, good = machine.memory._inside(instruction, machine, address, 4)
        words, log, old = machine.memory.rows(4).view(np.uint32)[:, 0], machine.memory.log, np.zeros(len(lanes), dtype)
        for i in np.flatnonzero(good):
            place, stamp = int(at[i]) // 4, int(machine.stamps[lanes[i]])
            if releases:
                log.release(place, stamp)
            old[i] = words[place]
            words[place] += added[i]
            log.written[2 * place : 2 * place + 2] = stamp  # so that the count is brought back to the host
            if acquires:
                log.acquire(place, stamp)
        if acquires:
            machine.let_others(lanes)
        if target:
            machine.write(target[0], old, active)

    return run
