"""Moves, selections and conversions."""

from __future__ import annotations

import numpy as np

from ptx import kinds
from ptx.operands import Vector
from ptx.operations import decoder

ROUND = {"rmi": np.floor, "rpi": np.ceil, "rzi": np.trunc, "rni": np.rint}


@decoder("mov")
def move(instruction):
    target, source = instruction.arguments
    dtype = kinds.of(instruction.modifiers[-1])
    if isinstance(target, Vector):
        return _unpacked(target.items, source, dtype)
    if isinstance(source, Vector):
        return _packed(target, source.items, dtype)
    return lambda machine, active: machine.write(target, source.value(machine, dtype, active), active)


def _unpacked(targets, source, dtype):
    part = kinds.UNSIGNED[8 * dtype.itemsize // len(targets)]

    def run(machine, active):
        whole = machine.spread(source.value(machine, dtype, active), active)
        parts = np.ascontiguousarray(whole).view(part).reshape(-1, len(targets))
        for i, target in enumerate(targets):
            machine.write(target, parts[:, i], active)

    return run


def _packed(target, sources, dtype):
    part = kinds.UNSIGNED[8 * dtype.itemsize // len(sources)]

    def run(machine, active):
        parts = [machine.spread(source.value(machine, part, active), active) for source in sources]
        machine.write(target, np.stack(parts, 1).view(dtype).reshape(-1), active)

    return run


@decoder("selp")
def select(instruction):
    target, first, second, predicate = instruction.arguments
    dtype = kinds.of(instruction.modifiers[-1])

    def run(machine, active):
        chosen = predicate.value(machine, kinds.PREDICATE, active)
        values = first.value(machine, dtype, active), second.value(machine, dtype, active)
        machine.write(target, np.where(chosen, *values), active)

    return run


@decoder("cvt")
def convert(instruction):
    to, of = instruction.modifiers[-2:]
    target, *sources = instruction.arguments
    if to in ("f16x2", "bf16x2"):
        return _to_pair(target, sources, _rounded_to(to[:-2]))
    if to == "tf32":
        return _to_tf32(target, sources[0])
    source_type, target_type = kinds.of(of), kinds.of(to)
    rounding = next((ROUND[m] for m in instruction.modifiers if m in ROUND), None)

    def run(machine, active):
        value = np.asarray(sources[0].value(machine, source_type, active))
        value = kinds.from_bfloat16(value) if of == "bf16" else value
        value = value if rounding is None else rounding(value)
        if to[0] in "us" and of[0] in "fb" and value.dtype.kind == "f":  # saturates; NaN becomes zero
            bounds = np.iinfo(target_type)
            value = np.clip(np.nan_to_num(value.astype(np.float64)), bounds.min, bounds.max)
        machine.write(target, _rounded_to(to)(value) if to == "bf16" else value.astype(target_type), active)

    return run


def _rounded_to(kind: str):
    """float32 → float16, or the bits of bfloat16."""
    return kinds.to_bfloat16 if kind == "bf16" else lambda value: np.asarray(value).astype(np.float16)


def _to_pair(target, sources, rounded):
    """cvt.rn.f16x2.f32 d, high, low."""

    def run(machine, active):
        high, low = (machine.spread(s.value(machine, np.dtype(np.float32), active), active) for s in sources)
        machine.write(target, kinds.packed(rounded(low), rounded(high)), active)

    return run


def _to_tf32(target, source):
    """Rounded to ten bits of fraction, halves away from zero (rna)."""

    def run(machine, active):
        bits = machine.spread(source.value(machine, kinds.UNSIGNED[32], active), active)
        machine.write(target, (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000), active)

    return run
