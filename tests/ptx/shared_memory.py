"""Shared memory of all blocks of a launch: bounds, alignment, bytes that nobody wrote, races between warps."""

from __future__ import annotations

import numpy as np

from ptx.races import GRANULE, IN_FLIGHT, AccessLog, at_odds, granules

PAST_BOUNDS = "shared memory: access out of bounds"
UNALIGNED = "shared memory: misaligned access"
UNWRITTEN = "shared memory: read of what nobody wrote"
RACE = "shared memory: two warps touch the same place without a barrier between them"
UNAWAITED = "shared memory: an asynchronous copy or product has the same place and is not awaited"
LINE = 128  # bytes: blocks begin at a multiple, as swizzles count from it


class SharedMemory:
    """[blocks, size] bytes; an address counts from its block's beginning."""

    def __init__(self, blocks: int, size: int):
        self.size, self.stride = size, -(-max(size, 1) // LINE) * LINE
        self.data = np.full(blocks * self.stride, 0x7F, np.uint8)  # NaN, where it is read unwritten
        self.written = np.zeros(blocks * self.stride // GRANULE, bool)
        self.log = AccessLog(blocks * self.stride)

    def load(self, instruction, machine, address: np.ndarray, size: int, lanes: np.ndarray) -> np.ndarray:
        """Bytes [lanes, size]."""
        at = self.inside(instruction, machine, address, size, machine.blocks[lanes])
        self.read(instruction, machine, at, size, lanes)
        return self.data.reshape(-1, size)[at // size]

    def read(self, instruction, machine, at: np.ndarray, size: int, lanes: np.ndarray) -> None:
        """Check a read at the places ``at`` of :meth:`inside` and note it."""
        if not self.written.reshape(-1, max(1, size // GRANULE))[at // max(size, GRANULE)].all():
            machine.faults.report(UNWRITTEN, instruction)
        report(instruction, machine, self.log.reading(at, size, machine.stamps[lanes]))

    def store(self, instruction, machine, address: np.ndarray, raw: np.ndarray, lanes: np.ndarray) -> None:
        """``raw``: bytes [lanes, size]."""
        size = raw.shape[1]
        at = self.inside(instruction, machine, address, size, machine.blocks[lanes])
        rows = self.data.reshape(-1, size)
        changed = (rows[at // size] != raw).reshape(len(at), -1, min(size, GRANULE)).any(2)
        report(instruction, machine, self.log.writing(at, size, machine.stamps[lanes], changed))
        rows[at // size] = raw
        self.written[granules(at, size)] = True
        self._report_lost(instruction, machine, at, (rows[at // size] != raw).any(1), lanes)

    def _report_lost(self, instruction, machine, at: np.ndarray, lost: np.ndarray, lanes: np.ndarray) -> None:
        """Stores at once with another warp's of other numbers. (Of one warp either number may stay: copies of one sum,
        added in another order.)"""
        if lost.any():
            left = self.log.written[at[lost] // GRANULE]
            report(instruction, machine, left[at_odds(left, machine.stamps[lanes[lost]])])

    def begin_copy(self, instruction, machine, address: np.ndarray, size: int, lanes: np.ndarray) -> np.ndarray:
        """A copy may land from now on: nobody may touch its place until it is awaited. Returns the places."""
        at = self.inside(instruction, machine, address, size, machine.blocks[lanes])
        report(instruction, machine, self.log.writing(at, size, machine.stamps[lanes]))
        self.log.written[granules(at, size)] = IN_FLIGHT
        return at

    def end_copy(self, machine, at: np.ndarray, raw: np.ndarray, lanes: np.ndarray) -> None:
        size = raw.shape[1]
        places = granules(at, size)
        self.data.reshape(-1, size)[at // size] = raw
        self.written[places] = True
        self.log.written[places] = machine.stamps[lanes][:, None]

    def inside(self, instruction, machine, address: np.ndarray, size: int, blocks: np.ndarray) -> np.ndarray:
        """Addresses within blocks → places in :attr:`data`; bad ones are reported and moved inside."""
        if (address % size).any():
            machine.faults.report(UNALIGNED, instruction, f"{size} bytes")
            address = address // size * size
        bad = (address < 0) | (address + size > self.size)
        if bad.any():
            machine.faults.report(PAST_BOUNDS, instruction, f"{np.count_nonzero(bad)} accesses")
            address = np.where(bad, 0, address)
        return address + blocks.reshape(blocks.shape + (1,) * (address.ndim - blocks.ndim)) * self.stride


def report(instruction, machine, stamps: np.ndarray) -> None:
    """``stamps``: those at odds with an access."""
    if len(stamps):
        machine.faults.report(UNAWAITED if (stamps == IN_FLIGHT).any() else RACE, instruction)
