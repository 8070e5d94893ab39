"""Matrices between shared memory, registers and arrays.

A matrix of 8 × 16 bytes lies in one register of a warp: lane t has word t % 4 of row t // 4. Fragments are made of
these: A has them by rows within columns, B by columns, accumulators by rows (PTX ISA, "Matrix fragments").
"""

from __future__ import annotations

import numpy as np

from ptx import kinds
from ptx.operands import Vector
from ptx.operations import decoder
from ptx.warps import WARP, together

ROW = 16  # bytes


@decoder("ldmatrix", "stmatrix")
def matrices(instruction):
    """One to four matrices: lanes 8i … 8i + 7 have the addresses of the rows of matrix i."""
    count = next(int(m[1]) for m in instruction.modifiers if m in ("x1", "x2", "x4"))
    turned, storing = "trans" in instruction.modifiers, instruction.name == "stmatrix"
    registers, memory = instruction.arguments[:: -1 if storing else 1]
    registers = registers.items if isinstance(registers, Vector) else (registers,)

    def run(machine, active):
        warps = together(instruction, machine, active, WARP)
        lanes = warps.reshape(-1)
        address = memory.address(machine, kinds.UNSIGNED[32], lanes).reshape(-1, WARP)[:, : 8 * count].reshape(-1)
        rows = warps[:, : 8 * count].reshape(-1)
        if storing:
            words = [r.value(machine, kinds.UNSIGNED[32], lanes).reshape(-1, 8, 4) for r in registers]
            halves = np.stack(words, 1).view(np.uint16)  # [warps, count, 8, 8]
            halves = np.ascontiguousarray(halves.swapaxes(2, 3)) if turned else halves
            machine.shared.store(instruction, machine, address, halves.reshape(-1, 8).view(np.uint8), rows)
            return
        raw = machine.shared.load(instruction, machine, address, ROW, rows)
        halves = raw.view(np.uint16).reshape(-1, count, 8, 8)
        halves = np.ascontiguousarray(halves.swapaxes(2, 3)) if turned else halves
        words = halves.view(np.uint32).reshape(-1, count, WARP)
        for i, register in enumerate(registers):
            machine.write(register, words[:, i].reshape(-1), lanes)

    return run


def numbers(words: np.ndarray, kind: str) -> np.ndarray:
    """Words of two f16 or bf16, or of one tf32, whose last 13 bits are not used, → float32, along the last axis."""
    if kind == "tf32":
        return (words & np.uint32(0xFFFFE000)).view(np.float32)
    halves = np.ascontiguousarray(words).view(np.uint16)
    return kinds.from_bfloat16(halves) if kind == "bf16" else halves.view(np.float16).astype(np.float32)


def _words(registers, machine, lanes: np.ndarray) -> np.ndarray:
    """[warps, registers, 8, 4]."""
    values = [machine.spread(r.value(machine, kinds.UNSIGNED[32], lanes), lanes) for r in registers]
    return np.stack([value.reshape(-1, 8, 4) for value in values], 1)


def first_operand(registers, machine, lanes: np.ndarray, kind: str) -> np.ndarray:
    """A of four registers → [warps, 16, K]: 16 columns of halves or 8 of tf32."""
    parts = numbers(_words(registers, machine, lanes), kind)  # [warps, (k, row), 8, K / 2]
    warps, _, _, half = parts.shape
    return parts.reshape(warps, 2, 2, 8, half).transpose(0, 2, 3, 1, 4).reshape(warps, 16, 2 * half)


def second_operand(registers, machine, lanes: np.ndarray, kind: str) -> np.ndarray:
    """B of two registers → [warps, K, 8]."""
    parts = numbers(_words(registers, machine, lanes), kind)  # [warps, k, 8 columns, K / 2]
    warps, _, _, half = parts.shape
    return parts.transpose(0, 1, 3, 2).reshape(warps, 2 * half, 8)


def accumulators(product: np.ndarray) -> np.ndarray:
    """[warps, 16, N] → [registers, lanes]: two of a row, then two of the row 8 below, then the next 8 columns."""
    warps, _, columns = product.shape
    parts = product.reshape(warps, 2, 8, columns // 8, 4, 2)  # warp, row half, row, 8 columns, pair, one of it
    return parts.transpose(3, 1, 5, 0, 2, 4).reshape(columns // 2, -1)
