"""One launch over some of its blocks: all their threads at once, an array element each.

Lanes that stand at the same instruction run it together. Where they part, those that are furthest behind go on, so they
meet again. Warps therefore never overtake one another; that they could is what the logs of accesses are for (races.py).
A block that has looked at another one's flag lets the others go on first (flags.py).
"""

from __future__ import annotations

import functools

import numpy as np

from ptx import accesses, arithmetic, flags, matrices, moves, operations, products, races, warpgroup, warps  # noqa: F401
from ptx.copies import Copies
from ptx.faults import Faults
from ptx.operations import Run
from ptx.program import Program
from ptx.registers import Registers
from ptx.shared_memory import SharedMemory
from ptx.warpgroup import Products

MOST_STEPS = 2_000_000
UNEQUAL = "threads of a block leave while others wait"


class Machine:
    """``parameters`` by name; ``blocks``: numbers within the grid, x first."""

    def __init__(
        self, program: Program, grid: tuple[int, ...], parameters: dict[str, int], shared: int, memory, blocks, faults
    ):
        self.program, self.parameters, self.memory, self.faults = program, parameters, memory, faults
        self.threads, count = program.threads, len(blocks)
        self.count = self.threads * count
        self.all_lanes = np.arange(self.count)
        self.blocks = np.repeat(np.arange(count), self.threads)  # of a lane, among those that run together
        self.specials = _specials(self.threads, grid, np.asarray(blocks))
        self.stamps = races.stamps(np.repeat(blocks, self.threads), self.specials["tid.x"] // warps.WARP)
        self.registers = Registers(program, self.count, faults)
        self.shared = SharedMemory(count, shared)
        self.copies, self.products = Copies(self.count), Products(self.count)
        self.block_numbers, self.looked = np.asarray(blocks), np.zeros(count, bool)

    def lanes(self, active: np.ndarray | None) -> np.ndarray:
        return self.all_lanes if active is None else active

    def spread(self, value, active: np.ndarray | None) -> np.ndarray:
        """One number for each active lane, where ``value`` may be the same for all."""
        value = np.asarray(value)
        return value if value.ndim else np.full(len(self.lanes(active)), value)

    def write(self, register, value, active: np.ndarray | None) -> None:
        self.registers.write(register.name, self.spread(value, active), active)

    def space(self, name: str):
        return self.memory if name == "global" else self.shared

    def pass_barrier(self, blocks: np.ndarray) -> None:
        """What these blocks' threads did before, the others now see."""
        passed = np.zeros(len(self.looked), bool)
        passed[blocks] = True
        self.stamps = self.stamps + np.where(passed[self.blocks], races.BARRIER, 0)
        if isinstance(self.memory.log, flags.OrderedLog):
            self.memory.log.pass_barrier(self.block_numbers[passed])

    def let_others(self, lanes: np.ndarray) -> None:
        """The blocks of these lanes have looked at a flag, which others may still have to raise."""
        self.looked[self.blocks[lanes]] = True

    def next_place(self, apart: np.ndarray, end: int) -> int:
        """Of the lanes furthest behind, in blocks that have not looked at a flag since all others did."""
        if self.looked.any():
            left = np.where(self.looked[self.blocks], end, apart)
            if left.min() < end:
                return int(left.min())
            self.looked[:] = False
        return int(apart.min())

    def run(self) -> Machine:
        """To the end of all threads. Raises RuntimeError after too many steps."""
        with np.errstate(all="ignore"):
            _run(self, decoded(self.program), self.program.code)
        self.copies.check_empty(self.faults)
        return self


def _run(machine: Machine, actions: tuple[Run | None, ...], code) -> None:
    """``place`` is that of all lanes while they are together (``apart`` is None), else the lowest of theirs."""
    place, apart, end = 0, None, len(code)
    for _ in range(MOST_STEPS):
        active = None
        if apart is not None:
            place = machine.next_place(apart, end)
            here = apart == place
            active = np.flatnonzero(here & ~machine.looked[machine.blocks] if machine.looked.any() else here)
            if len(active) == machine.count:
                apart = active = None
        if place >= end:
            return
        instruction, taken = code[place], active
        if instruction.guard is not None:
            chosen = machine.registers.read(instruction.guard, active)
            chosen = ~chosen if instruction.negated else chosen
            if not chosen.all():
                taken = machine.lanes(active)[chosen]
        following = instruction.target if instruction.name == "bra" else end if instruction.name in LEAVING else None
        if following is None and (taken is None or len(taken)):
            actions[place](machine, taken)
        if taken is active:
            place = place + 1 if following is None else following
            if active is not None:
                apart[active] = place
            continue
        if apart is None and following is None:
            place += 1
            continue
        apart = np.full(machine.count, place) if apart is None else apart
        apart[machine.lanes(active)] = place + 1
        if following is not None:
            apart[taken] = following
    raise RuntimeError(f"{machine.program.name}: no end after {MOST_STEPS} steps, at {code[place].text!r}")


LEAVING = ("ret", "exit")


@functools.lru_cache(maxsize=256)
def decoded(program: Program) -> tuple[Run | None, ...]:
    """What each instruction does. Raises Unsupported."""
    control = ("bra", *LEAVING)
    return tuple(None if one.name in control else operations.decode(one) for one in program.code)


def _specials(threads: int, grid: tuple[int, ...], blocks: np.ndarray) -> dict[str, np.ndarray]:
    """Special registers of all lanes."""
    thread = np.tile(np.arange(threads, dtype=np.uint32), len(blocks))
    x, y, z = (*grid, 1, 1)[:3]
    block = np.repeat(blocks, threads)
    values = {"tid.x": thread, "laneid": thread % warps.WARP, "warpid": thread // warps.WARP}
    values |= {"ctaid.x": block % x, "ctaid.y": block // x % y, "ctaid.z": block // (x * y)}
    same = {"tid.y": 0, "tid.z": 0, "ntid.x": threads, "ntid.y": 1, "ntid.z": 1}
    same |= {"nctaid.x": x, "nctaid.y": y, "nctaid.z": z}
    values |= {name: np.full(len(thread), value) for name, value in same.items()}
    return {name: value.astype(np.uint32) for name, value in values.items()}


def execute(program: Program, grid, values: list[int], shared: int, memory, faults: Faults, most_lanes=8192) -> None:
    """Run all blocks of a grid, as many at once as have ``most_lanes`` threads. ``values``: the parameters' bits."""
    parameters = dict(zip((name for name, _ in program.parameters), values, strict=True))
    total, together = int(np.prod(grid)), max(1, most_lanes // program.threads)
    if any(one.name in ("atom", "red") for one in program.code):  # blocks that may wait for one another
        assert total <= together, f"{total} blocks of {program.name} are too many at once"
        memory.log = flags.OrderedLog(len(memory.data), total)
    for first in range(0, total, together):
        blocks = np.arange(first, min(total, first + together))
        Machine(program, tuple(grid), parameters, shared, memory, blocks, faults).run()
