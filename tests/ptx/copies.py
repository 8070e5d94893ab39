"""cp.async: copies from global to shared memory. Each lands as late as it may, when its group is awaited."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptx import kinds
from ptx.groups import Groups, Work
from ptx.operations import decoder

UNAWAITED = "a copy that is never awaited"


@dataclass(frozen=True)
class Copy(Work):
    """``size`` bytes a lane from ``source`` (an address) to ``place``; those from ``count`` on are zeros."""

    source: np.ndarray
    count: np.ndarray
    place: np.ndarray
    size: int


@decoder("cp")
def copy(instruction):
    """cp.async.cg.shared.global [to], [from], size, count."""
    modifiers, arguments = instruction.modifiers, instruction.arguments
    if "commit_group" in modifiers:
        return lambda machine, active: machine.copies.commit(machine.lanes(active))
    if "wait_group" in modifiers or "wait_all" in modifiers:
        keep = arguments[0].bits if arguments else -1
        return lambda machine, active: _wait(machine, active, keep)
    to, source, size = arguments[0], arguments[1], arguments[2].bits
    count_of = arguments[3] if len(arguments) > 3 else arguments[2]

    def run(machine, active):
        lanes = machine.lanes(active)
        address = source.address(machine, kinds.UNSIGNED[64], active)
        count = machine.spread(count_of.value(machine, kinds.UNSIGNED[32], active), active).astype(np.int64)
        shared = to.address(machine, kinds.UNSIGNED[32], active)
        place = machine.shared.begin_copy(instruction, machine, shared, size, lanes)
        read = count > 0
        machine.memory.checked(instruction, machine, address[read], size, lanes[read])
        groups = machine.copies.committed[lanes]
        machine.copies.flying.append(Copy(instruction, lanes, groups, address, count, place, size))

    return run


def _wait(machine, active, keep: int) -> None:
    for copy in machine.copies.finished(machine.lanes(active), keep):
        raw = machine.memory.bytes_at(copy.source, copy.size, copy.count > 0)
        raw[np.arange(copy.size) >= copy.count[:, None]] = 0
        machine.shared.end_copy(machine, copy.place, raw, copy.lanes)


class Copies(Groups):
    """The copies in flight of one launch."""

    def check_empty(self, faults) -> None:
        """A block that ends leaves none."""
        for copy in self.flying:
            faults.report(UNAWAITED, copy.instruction)
