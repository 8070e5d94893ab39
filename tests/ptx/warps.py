"""Threads together: barriers of a block, exchanges within a warp."""

from __future__ import annotations

import numpy as np

from ptx import kinds
from ptx.faults import Unsupported
from ptx.operations import decoder

WARP = 32
PARTIAL = "a barrier that not all threads of a block reach"
DIVERGED = "threads that must act together are not together"


@decoder("bar", "barrier")
def barrier(instruction):
    if instruction.modifiers[0] == "warp":
        return lambda machine, active: None
    if instruction.modifiers[0] not in ("sync", "cta") or len(instruction.arguments) > 1:
        raise Unsupported(f"a barrier of some threads: {instruction.text!r}")

    def run(machine, active):
        if active is None:
            machine.pass_barrier(np.arange(len(machine.looked)))
            return
        blocks, counts = np.unique(machine.blocks[active], return_counts=True)
        if (counts != machine.threads).any():
            machine.faults.report(PARTIAL, instruction, f"in {np.count_nonzero(counts != machine.threads)} blocks")
        machine.pass_barrier(blocks)

    return run


@decoder("shfl")
def shuffle(instruction):
    """shfl.sync.bfly.b32 d, a, b, c, members: the value of another lane of the warp; its own beyond the warp's end."""
    how = instruction.modifiers[1]
    target, source, distance = instruction.arguments[:3]

    def run(machine, active):
        lanes = machine.lanes(active)
        lane = lanes % WARP
        by = machine.spread(distance.value(machine, kinds.UNSIGNED[32], active), active).astype(np.int64)
        other = {"bfly": lane ^ by, "idx": by % WARP, "down": lane + by, "up": lane - by}[how]
        other = np.where((other >= 0) & (other < WARP), other, lane)
        values = source.value(machine, kinds.UNSIGNED[32], None)
        machine.write(target, values[lanes - lane + other], active)

    return run


@decoder("redux")
def reduce(instruction):
    """redux.sync.add.s32 d, a, members: every lane gets the sum over its warp."""
    if instruction.modifiers[:2] != ("sync", "add"):
        raise Unsupported(f"a reduction: {instruction.text!r}")
    target, source = instruction.arguments[:2]

    def run(machine, active):
        lanes = together(instruction, machine, active, WARP)
        values = machine.spread(source.value(machine, kinds.UNSIGNED[32], None), None)[lanes]
        sums = np.repeat(values.sum(axis=1, dtype=np.uint32), WARP)
        machine.write(target, sums, None if active is None else lanes.reshape(-1))

    return run


def together(instruction, machine, active, count: int) -> np.ndarray:
    """The active lanes, whole groups of ``count`` neighbours [n, count]. What is not whole is a fault and left out."""
    if active is None:
        return machine.all_lanes.reshape(-1, count)
    lanes = machine.lanes(active)
    groups, sizes = np.unique(lanes // count, return_counts=True)
    if (sizes != count).any():
        machine.faults.report(DIVERGED, instruction)
        groups = groups[sizes == count]
    return groups[:, None] * count + np.arange(count)
