"""mma.sync: a warp's matrix product from registers, m16n8k16 of halves or m16n8k8 of tf32, summed in float32."""

from __future__ import annotations

import numpy as np

from ptx import matrices
from ptx.faults import Unsupported
from ptx.operations import decoder
from ptx.warps import WARP, together

FLOAT = np.dtype(np.float32)


@decoder("mma")
def product(instruction):
    """mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 D, A, B, C."""
    shape, kind = instruction.modifiers[2], instruction.modifiers[-2]
    types = instruction.modifiers[-4], instruction.modifiers[-1]
    if (shape, kind) not in (("m16n8k16", "f16"), ("m16n8k16", "bf16"), ("m16n8k8", "tf32")) or set(types) != {"f32"}:
        raise Unsupported(f"a product of this kind: {instruction.text!r}")
    results, first, second, sums = (argument.items for argument in instruction.arguments)

    def run(machine, active):
        lanes = together(instruction, machine, active, WARP).reshape(-1)
        a = matrices.first_operand(first, machine, lanes, kind)
        b = matrices.second_operand(second, machine, lanes, kind)
        values = matrices.accumulators(a @ b)
        for register, before, value in zip(results, sums, values):
            machine.write(register, before.value(machine, FLOAT, lanes) + value, lanes)

    return run
