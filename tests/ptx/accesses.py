"""Loads and stores of parameters, global and shared memory; prefetches; instructions that only order accesses."""

from __future__ import annotations

import numpy as np

from ptx import kinds
from ptx.faults import Unsupported
from ptx.operands import Vector
from ptx.operations import decoder

PREFETCH = "a prefetch of an address without memory"
ADDRESS = {"global": kinds.UNSIGNED[64], "shared": kinds.UNSIGNED[32]}


def _space(instruction) -> str:
    """Of ld and st: global, or shared, or param."""
    space = instruction.modifiers[0].partition("::")[0]
    if space not in (*ADDRESS, "param"):
        raise Unsupported(f"an access to {space} memory: {instruction.text!r}")
    return space


def _items(operand) -> tuple:
    return operand.items if isinstance(operand, Vector) else (operand,)


@decoder("ld")
def load(instruction):
    space, dtype = _space(instruction), kinds.unsigned(kinds.of(instruction.modifiers[-1]))
    targets, memory = _items(instruction.arguments[0]), instruction.arguments[1]
    if space == "param":
        name = memory.base.name
        return lambda m, active: m.write(targets[0], kinds.scalar(m.parameters[name], dtype), active)
    size = dtype.itemsize * len(targets)

    def run(machine, active):
        address = memory.address(machine, ADDRESS[space], active)
        raw = machine.space(space).load(instruction, machine, address, size, machine.lanes(active))
        values = raw.view(dtype)
        for i, target in enumerate(targets):
            machine.write(target, values[:, i], active)

    return run


@decoder("st")
def store(instruction):
    space, dtype = _space(instruction), kinds.unsigned(kinds.of(instruction.modifiers[-1]))
    memory, sources = instruction.arguments[0], _items(instruction.arguments[1])

    def run(machine, active):
        values = [machine.spread(source.value(machine, dtype, active), active) for source in sources]
        raw = np.stack(values, 1).view(np.uint8)
        address = memory.address(machine, ADDRESS[space], active)
        machine.space(space).store(instruction, machine, address, raw, machine.lanes(active))

    return run


@decoder("prefetch")
def prefetch(instruction):
    """No access, but its address must be one."""

    def run(machine, active):
        at = instruction.arguments[0].address(machine, ADDRESS["global"], active) - machine.memory.base
        good = (at >= 0) & (at < len(machine.memory.mapped))
        if not (good.all() and machine.memory.mapped[at].all()):
            machine.faults.report("a prefetch of an address without memory", instruction)

    return run


@decoder("griddepcontrol", "fence", "membar")
def ordering(instruction):
    """Blocks run after all earlier launches here, and their accesses in the program's order."""
    return lambda machine, active: None
