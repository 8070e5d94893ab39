"""Launches of the project's kernels, compiled and executed by the interpreter in place of Triton's launcher."""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING

import torch

from fastsvc.build.cubins.compiler import Cubin
from fastsvc.kernels.launch import Launch
from ptx.device_memory import DeviceMemory
from ptx.faults import Faults
from ptx.machine import execute
from ptx.program import parse

if TYPE_CHECKING:
    from ptx.compiled import Compiler


class Interpreter:
    """Runs launches of ``arch``. ``faults`` are those of all of them, ``runs`` their number by kernel.

    ``change``: what is done to a kernel's PTX first, by tests that plant faults.
    """

    def __init__(self, compiler: Compiler, arch: int, change=lambda ptx: ptx):
        self.compiler, self.arch, self.change = compiler, arch, change
        self.faults, self.runs = Faults(), Counter()

    def run(self, launch: Launch) -> None:
        """Raises CompileError; faults are collected."""
        cubin = self.compiler.compile(launch, self.arch)
        start(cubin, launch.grid, launch.arguments, self.faults, self.change(cubin.ptx))
        self.runs[cubin.name] += 1

    def replace(self, monkeypatch) -> Interpreter:
        """From now on ``Launch.run`` is this interpreter's."""

        def run(launch: Launch) -> None:
            self.run(launch)

        monkeypatch.setattr(Launch, "run", run)
        return self


def start(cubin: Cubin, grid: tuple[int, ...], arguments: dict, faults: Faults, ptx: str | None = None) -> None:
    """One launch over these tensors and numbers."""
    tensors = [value for value in arguments.values() if isinstance(value, torch.Tensor)]
    start_raw(cubin, grid, tensors, [_bits(value) for value in arguments.values()], faults, ptx)


def start_raw(cubin: Cubin, grid, tensors, values: list[int], faults: Faults, ptx: str | None = None) -> None:
    """As :func:`start`; ``values``: the bits of each parameter, where pointers are those of the host's ``tensors``."""
    program = parse(ptx or cubin.ptx)
    assert program.threads == 32 * cubin.warps
    memory = DeviceMemory(tensors)
    values = values + [0] * (len(program.parameters) - len(values))  # Triton's scratch
    pointers = [kind.startswith("*") for _, kind in cubin.parameters]
    for i in range(len(pointers)):
        values[i] = memory.address(values[i]) if pointers[i] else values[i]
    execute(program, (*grid, 1, 1)[:3], values, cubin.shared, memory, faults)
    memory.store_back()


def _bits(value) -> int:
    if isinstance(value, torch.Tensor):
        return value.data_ptr()
    if isinstance(value, float):
        return struct.unpack("<I", struct.pack("<f", value))[0]
    return int(value)
