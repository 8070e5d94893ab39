"""The table of instructions: a name → a decoder, which looks at modifiers once and returns what each execution does.

Modules register their instructions with :func:`decoder`. What is executed is called with the machine and the active
lanes: an array of their numbers, or None for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ptx.faults import Unsupported

Run: TypeAlias = Callable[[Any, Any], None]
DECODERS: dict[str, Callable[[Any], Run]] = {}


def decoder(*names: str):
    """Registers the decoder of instructions of these names (before the first point)."""

    def register(function):
        DECODERS.update(dict.fromkeys(names, function))
        return function

    return register


def decode(instruction) -> Run:
    """Raises Unsupported for what the interpreter does not know."""
    if instruction.name not in DECODERS:
        raise Unsupported(f"the interpreter does not know {instruction.text!r}")
    return DECODERS[instruction.name](instruction)
