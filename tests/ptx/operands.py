"""What stands behind an instruction's name: registers, numbers, special registers, addresses, vectors of these."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ptx import kinds

NUMBER = re.compile(r"-?(0x[0-9a-fA-F]+|\d+)U?$")
FLOAT = re.compile(r"0[fFdD]([0-9a-fA-F]{8}|[0-9a-fA-F]{16})$")
SPECIAL = re.compile(r"%((?:tid|ntid|ctaid|nctaid)\.[xyz]|laneid|warpid)$")
MEMORY = re.compile(r"(%?[\w$]+)(?:\+(-?\w+))?$")


@dataclass(frozen=True)
class Register:
    name: str

    def value(self, machine, dtype: np.dtype, active):
        """Its lowest bits, as ``dtype``: of lanes ``active``, or of all."""
        value = machine.registers.read(self.name, active)
        if value.dtype.itemsize > dtype.itemsize:
            value = value.astype(kinds.unsigned(dtype))
        return value if value.dtype == dtype else value.view(dtype)


@dataclass(frozen=True)
class Number:
    bits: int

    def value(self, machine, dtype: np.dtype, active):
        return kinds.scalar(self.bits, dtype)


@dataclass(frozen=True)
class Special:
    """%tid.x and its like."""

    name: str

    def value(self, machine, dtype: np.dtype, active):
        value = machine.specials[self.name]
        return (value if active is None else value[active]).astype(dtype)


@dataclass(frozen=True)
class Symbol:
    """A name: of a parameter, of a label, or of shared memory, which begins at 0."""

    name: str

    def value(self, machine, dtype: np.dtype, active):
        if self.name != "global_smem":
            raise KeyError(f"a symbol without an address: {self.name}")
        return dtype.type(0)


@dataclass(frozen=True)
class Memory:
    """[base + offset]."""

    base: Operand
    offset: int

    def address(self, machine, dtype: np.dtype, active) -> np.ndarray:
        """int64 of every active lane."""
        return machine.spread(self.base.value(machine, dtype, active), active).astype(np.int64) + self.offset


@dataclass(frozen=True)
class Vector:
    items: tuple[Operand, ...]


Operand: TypeAlias = Register | Number | Special | Symbol | Memory | Vector


def parse(text: str, declared: set[str]) -> Operand:
    """One operand; ``declared``: registers whose names do not begin with %, as inline assembly has them."""
    text = text.strip()
    if text.startswith("{"):
        return Vector(tuple(parse(item, declared) for item in split(text[1:-1])))
    if text.startswith("["):
        found = MEMORY.match(text[1:-1].replace(" ", ""))
        return Memory(parse(found[1], declared), int(found[2] or "0", 0))
    if special := SPECIAL.match(text):
        return Special(special[1])
    if text.startswith("%") or text in declared or text == "_":
        return Register(text)
    if NUMBER.match(text):
        return Number(int(text.rstrip("U"), 0))
    if found := FLOAT.match(text):
        return Number(int(found[1], 16))
    if re.match(r"-?\d+\.\d*(e[-+]?\d+)?$", text):  # inline assembly's; of float32
        return Number(struct.unpack("<I", struct.pack("<f", float(text)))[0])
    return Symbol(text)


def split(text: str) -> list[str]:
    """At commas outside brackets."""
    parts, depth, part = [], 0, ""
    for letter in text:
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += letter
    return [*parts, part] if part.strip() else parts
