"""Arithmetic, logic, shifts and comparisons: one function of NumPy arrays for each name."""

from __future__ import annotations

import numpy as np

from ptx import kinds
from ptx.faults import Unsupported
from ptx.operations import decoder

# f32 functions that a GPU approximates to one or two units in the last place.
UNARY = {
    "not": np.bitwise_not,
    "neg": np.negative,
    "abs": np.abs,
    "ex2": np.exp2,
    "lg2": np.log2,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "rcp": lambda x: x.dtype.type(1) / x,
    "rsqrt": lambda x: x.dtype.type(1) / np.sqrt(x),
}
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "max": np.fmax,  # of a number and NaN, the number
    "min": np.fmin,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "rem": np.fmod,
}
COMPARE = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater}
COMPARE |= {"ge": np.greater_equal, "lo": np.less, "ls": np.less_equal, "hi": np.greater, "hs": np.greater_equal}
TOGETHER = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def divided(x, y):
    """Integers are cut towards zero; all of 32 bits are exact in float64."""
    return x / y if x.dtype.kind == "f" else np.trunc(x.astype(np.float64) / y).astype(x.dtype)


def fused(x, y, z):
    """x·y + z, of float32 rounded once."""
    if np.float32 in (x.dtype, y.dtype):
        return (np.asarray(x, np.float64) * y + z).astype(np.float32)
    return x * y + z


def high(x, y):
    wide = kinds.wider(x.dtype)
    return (x.astype(wide) * y.astype(wide) >> wide.type(8 * x.dtype.itemsize)).astype(x.dtype)


@decoder(*BINARY, *UNARY, "div", "fma", "mad")
def arithmetic(instruction):
    name, modifiers = instruction.name, instruction.modifiers
    target, *sources = instruction.arguments
    kind = modifiers[-1]
    if kind in ("bf16", "bf16x2"):
        raise Unsupported(f"arithmetic of bfloat16: {instruction.text!r}")
    if "wide" in modifiers:
        return _wide(kinds.of(kind), target, sources)
    function = {**BINARY, **UNARY, "div": divided, "fma": fused, "mad": fused}[name]
    if "hi" in modifiers:
        function = high
    if "NaN" in modifiers:
        function = {"max": np.maximum, "min": np.minimum}[name]
    dtype, halves = kinds.of(kind), kind == "f16x2"

    def run(machine, active):
        values = [source.value(machine, dtype, active) for source in sources]
        if halves:
            values = [kinds.pairs(np.atleast_1d(value), np.float16) for value in values]
            value = np.ascontiguousarray(function(*values)).view(np.uint32).reshape(-1)
        else:
            value = function(*values)
        machine.write(target, value, active)

    return run


def _wide(dtype, target, sources):
    """mul.wide and mad.wide: the product and the summand are twice as wide."""
    wide = kinds.wider(dtype)

    def run(machine, active):
        value = sources[0].value(machine, dtype, active).astype(wide) * sources[1].value(machine, dtype, active)
        if len(sources) > 2:
            value = value + sources[2].value(machine, wide, active)
        machine.write(target, value, active)

    return run


@decoder("shl", "shr")
def shift(instruction):
    left, dtype = instruction.name == "shl", kinds.of(instruction.modifiers[-1])
    target, source, distance = instruction.arguments
    bits = 8 * dtype.itemsize

    def run(machine, active):
        value = source.value(machine, dtype, active)
        count = np.asarray(distance.value(machine, kinds.UNSIGNED[32], active))
        near = np.minimum(count, bits - 1).astype(dtype)
        moved = value << near if left else value >> near
        if dtype.kind != "i" or left:  # beyond all bits nothing is left; a sign stays
            moved = np.where(count < bits, moved, dtype.type(0))
        machine.write(target, moved, active)

    return run


@decoder("bfe")
def field(instruction):
    """Bits [first, first + length) of a word of 32, those of s32 with their sign."""
    dtype = kinds.of(instruction.modifiers[-1])
    target, *sources = instruction.arguments

    def run(machine, active):
        value, first, length = (np.asarray(s.value(machine, kinds.UNSIGNED[32], active), np.int64) for s in sources)
        part = (value >> first) & ((1 << length) - 1)
        if dtype.kind == "i":
            part = np.where((part >> (length - 1)) & 1, part - (1 << length), part)
        machine.write(target, part.astype(dtype), active)

    return run


@decoder("setp")
def compare(instruction):
    """setp.lt.s32; with a u (ltu) it is true of NaN, too; setp.lt.and.s32 takes another predicate."""
    how, *between, kind = (m for m in instruction.modifiers if m != "ftz")
    target, first, second, *other = instruction.arguments
    dtype = kinds.of(kind)
    unordered = dtype.kind == "f" and how[:-1] in COMPARE and how.endswith("u")
    function = COMPARE.get(how[:-1] if unordered else how)

    def run(machine, active):
        x, y = first.value(machine, dtype, active), second.value(machine, dtype, active)
        nan = np.isnan(x) | np.isnan(y) if dtype.kind == "f" else None
        value = nan if how == "nan" else ~nan if how == "num" else function(x, y)
        if unordered:
            value = value | nan
        if between:
            value = TOGETHER[between[0]](value, other[0].value(machine, kinds.PREDICATE, active))
        machine.write(target, value, active)

    return run
