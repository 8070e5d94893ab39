"""wgmma: the product of 128 threads from shared memory, which runs on while they go on, until it is awaited.

Its result is written at once, but until the wait nobody may touch its accumulators, change its registers or write over
its operands in shared memory. What is not checked: the fences before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ptx import descriptors, kinds, matrices
from ptx.faults import Unsupported
from ptx.groups import Groups, Work
from ptx.operands import Vector
from ptx.operations import decoder
from ptx.races import IN_FLIGHT, SEVERAL_WARPS, granules
from ptx.shared_memory import UNWRITTEN, report
from ptx.warps import together

GROUP = 128  # threads
UNLIKE = "a descriptor differs within a warpgroup"
DEPTH = {"f16": 16, "bf16": 16, "tf32": 8}


@dataclass(frozen=True)
class Product(Work):
    """``lanes``: the first of each warpgroup. ``places`` [groups, n]: granules of its operands in shared memory."""

    accumulators: tuple[str, ...]
    operands: tuple[str, ...]
    places: np.ndarray


class Products(Groups):
    """The products in flight; they lock registers and places in shared memory."""

    def begin(self, machine, product: Product) -> None:
        self.flying.append(product)
        self._lock(machine)

    def wait(self, machine, lanes: np.ndarray, keep: int) -> None:
        for product in self.finished(lanes, keep):
            machine.shared.log.read[product.places] = (machine.stamps[product.lanes] | SEVERAL_WARPS)[:, None]
        self._lock(machine)

    def _lock(self, machine) -> None:
        registers = machine.registers
        registers.accumulators, registers.operands = {}, {}
        for product in self.flying:
            busy = np.zeros(len(self.committed), bool)
            busy[(product.lanes[:, None] + np.arange(GROUP)).reshape(-1)] = True
            machine.shared.log.read[product.places] = IN_FLIGHT
            _add(registers.accumulators, product.accumulators, busy)
            _add(registers.operands, product.operands, busy)


def _add(locks: dict[str, np.ndarray], names: tuple[str, ...], busy: np.ndarray) -> None:
    locks.update({name: locks[name] | busy if name in locks else busy for name in names})


@decoder("wgmma")
def wgmma(instruction):
    if "fence" in instruction.modifiers:
        return lambda machine, active: None
    if "commit_group" in instruction.modifiers:
        return lambda machine, active: machine.products.commit(machine.lanes(active))
    if "wait_group" in instruction.modifiers:
        keep = instruction.arguments[0].bits
        return lambda machine, active: machine.products.wait(machine, machine.lanes(active), keep)
    return _product(instruction)


def _product(instruction):
    """wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 D, A, B, whether D counts, signs ×2, turned ×2 (or ×1)."""
    columns, depth = map(int, re.search(r"\.m64n(\d+)k(\d+)\.", instruction.text).groups())
    kind = instruction.modifiers[-1]
    targets, first, second, keep, *flags = instruction.arguments
    if DEPTH.get(kind) != depth or instruction.modifiers[4] != "f32" or {flag.bits for flag in flags[:2]} != {1}:
        raise Unsupported(f"a product of this kind: {instruction.text!r}")
    in_registers = isinstance(first, Vector)
    turned = [bool(flag.bits) for flag in flags[2:]] or [False, False]
    names = tuple(register.name for register in targets.items)
    operands = tuple(register.name for register in first.items) if in_registers else ()

    def run(machine, active):
        lanes = together(instruction, machine, active, GROUP).reshape(-1)
        places = []
        if in_registers:
            a = matrices.first_operand(first.items, machine, lanes, kind).reshape(-1, 64, depth)
        else:
            a = _operand(instruction, machine, first, lanes, (64, depth), kind, turned[0], places)
        b = _operand(instruction, machine, second, lanes, (columns, depth), kind, turned[-1], places)
        product = a @ b.swapaxes(1, 2)  # [groups, 64, N]
        values = matrices.accumulators(product.reshape(-1, 16, columns))
        counts = machine.spread(keep.value(machine, kinds.PREDICATE, lanes), lanes)
        for name, value in zip(names, values):
            before = machine.registers.peek(name)[lanes].view(np.float32)
            machine.registers.poke(name, np.where(counts, before + value, value), lanes)
        first_lanes = lanes[::GROUP]
        groups = machine.products.committed[first_lanes]
        flying = Product(instruction, first_lanes, groups, names, operands, np.concatenate(places, 1))
        machine.products.begin(machine, flying)

    return run


def _operand(instruction, machine, descriptor, lanes, shape, kind, turned, places: list) -> np.ndarray:
    """[groups, rows, K] from shared memory; its granules are added to ``places``."""
    of_lanes = descriptor.value(machine, kinds.UNSIGNED[64], lanes).reshape(-1, GROUP)
    if (of_lanes != of_lanes[:, :1]).any():
        machine.faults.report(UNLIKE, instruction)
    width = 4 if kind == "tf32" else 2
    address = descriptors.addresses(of_lanes[:, 0], *shape, width, turned)
    leaders = lanes[::GROUP]
    at = machine.shared.inside(instruction, machine, address, width, machine.blocks[leaders])
    flat, touched = at.reshape(-1), granules(at.reshape(-1), width)
    if not machine.shared.written[touched].all():
        machine.faults.report(UNWRITTEN, instruction)
    own = np.repeat(machine.stamps[leaders] | SEVERAL_WARPS, at[0].size)
    report(instruction, machine, machine.shared.log.reading(flat, width, own))
    places.append(touched.reshape(len(leaders), -1))
    words = machine.shared.data.reshape(-1, width)[flat // width]
    values = matrices.numbers(words.view(np.uint32 if width == 4 else np.uint16), kind)
    return values.reshape(at.shape)
