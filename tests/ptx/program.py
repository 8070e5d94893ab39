"""PTX's text → a list of instructions, the labels among them, and what a launch must know."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np

from ptx import kinds, operands
from ptx.operands import Operand

COMMENT = re.compile(r"//[^\n]*|^\s*\.loc\s[^\n]*", re.M)  # lines of the source are a directive without a semicolon
LABEL = re.compile(r"([$\w]+):\s*")
GUARD = re.compile(r"@(!?)\s*(%?\w+)\s+")
DIRECTIVE = re.compile(r"\.(pragma|reg|shared|local|param)\b[^\n]*")
NAME = re.compile(r"[\w.:]+")
PARAMETER = re.compile(r"\.param\s+\.[ubsf](\d+)\b[^,]*?(\w+)\s*(?:,|$)")
REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+(.*)", re.S)


@dataclass(frozen=True, eq=False)  # each is itself: hashed by identity
class Instruction:
    """``@guard name.modifiers arguments``; ``target``: where a branch leads, as an index of the code."""

    text: str
    name: str
    modifiers: tuple[str, ...]
    arguments: tuple[Operand, ...]
    guard: str | None = None
    negated: bool = False
    target: int | None = None

    def __str__(self) -> str:
        return " ".join(self.text.split())[:90]


@dataclass(frozen=True, eq=False)  # each is itself: hashed by identity
class Program:
    """``parameters``: (name, bits) in order; ``threads`` of a block; ``register_types`` by the letters of a name."""

    name: str
    parameters: tuple[tuple[str, int], ...]
    threads: int
    code: tuple[Instruction, ...]
    register_types: dict[str, np.dtype]

    def type_of(self, register: str) -> np.dtype:
        return self.register_types[register.rstrip("0123456789")]


@functools.lru_cache(maxsize=256)
def parse(ptx: str) -> Program:
    """The one kernel of a module. Raises ValueError where there is none."""
    ptx = COMMENT.sub("", ptx)
    head = re.search(r"\.entry\s+(\w+)\s*\((.*?)\)(.*?)\{", ptx, re.S)
    if head is None:
        raise ValueError("there is no kernel in this module")
    threads = re.search(r"\.reqntid\s+(\d+)", head[3])
    body = ptx[head.end() : _closing(ptx, head.end())]
    parameters = PARAMETER.findall(" ".join(head[2].split()))
    code, labels, registers_of, declared = [], {}, {}, set()
    for statement in _statements(body):
        while label := LABEL.match(statement):
            labels[label[1]] = len(code)
            statement = statement[label.end() :]
        if found := REGISTERS.match(statement):
            for name in found[2].split(","):
                prefix = name.strip().partition("<")[0]
                registers_of[prefix.rstrip("0123456789")] = _register_type(found[1])
                declared.add(prefix)
        elif statement and not DIRECTIVE.fullmatch(statement):
            code.append(_instruction(statement, declared))
    code = tuple(_aimed(instruction, labels) for instruction in code)
    return Program(head[1], tuple((name, int(bits)) for bits, name in parameters), int(threads[1]), code, registers_of)


def _closing(text: str, start: int) -> int:
    """Where the brace closes that was opened before ``start``."""
    depth = 1
    for found in re.finditer(r"[{}]", text[start:]):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return start + found.start()
    raise ValueError("a kernel without an end")


def _statements(body: str):
    """Each without its semicolon and without the braces of scopes, which stand before it."""
    for statement in body.split(";"):
        yield statement.lstrip("{} \t\n").rstrip()


def _instruction(text: str, declared: set[str]) -> Instruction:
    guard = GUARD.match(text)
    rest = text[guard.end() :] if guard else text
    found = NAME.match(rest)
    name, *modifiers = found[0].split(".")
    arguments = tuple(operands.parse(one, declared) for one in operands.split(rest[found.end() :]))
    if guard:
        return Instruction(text, name, tuple(modifiers), arguments, guard[2], guard[1] == "!")
    return Instruction(text, name, tuple(modifiers), arguments)


def _aimed(instruction: Instruction, labels: dict[str, int]) -> Instruction:
    if instruction.name != "bra":
        return instruction
    text, guard, negated = instruction.text, instruction.guard, instruction.negated
    target = labels[instruction.arguments[0].name]
    return Instruction(text, "bra", instruction.modifiers, (), guard, negated, target)


def _register_type(name: str) -> np.dtype:
    """Registers hold bits: their type is that of an instruction."""
    dtype = kinds.of(name)
    return dtype if dtype == kinds.PREDICATE else kinds.unsigned(dtype)
