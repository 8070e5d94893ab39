"""Checking a pickle without creating its objects: how deep it nests, what it calls, how large its tensors are.

Torch's restricted unpickler runs no foreign code, but it trusts numbers: it calls harmless functions with any size,
grows a storage to the size that a tensor claims, and creates nested tuples whose hash overflows C's stack. So the same
instructions are first executed here on stand-ins (protocol 2, as torch writes it).
"""

from __future__ import annotations

import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass, field

from fastsvc.reading import pickle_calls
from fastsvc.reading.pickle_calls import (
    CALLABLE,
    INSTANTIABLE,
    ITEM_BYTES,
    SETS,
    GlobalName,
    Storage,
    TupleValue,
    call_fault,
)

OPS = 3_000_000  # instructions; real checkpoints have some ten thousand
DEPTH, TUPLE = 64, 10_000  # of nested tuples, and values that one holds in all
KEY_BITS, KEYS = 60, 5_000_000  # of a whole number as a key: longer ones can share one hash; values in all keys
NAME = 1000  # characters of a class's or function's
ARGUMENTS = {  # instruction: the bytes that follow
    **dict.fromkeys(b"\x81Rbaesu(t\x85\x86\x87N\x88\x89)]}\x8fQ.", 0),
    **{ord("J"): 4, ord("K"): 1, ord("M"): 2, ord("G"): 8, 0x80: 1},
    **{ord("h"): 1, ord("j"): 4, ord("q"): 1, ord("r"): 4},
}
PLAIN, REBUILT = object(), object()  # stand-ins: any value whose size does not matter; a tensor


class Refused(ValueError):
    """A pickle is refused; the text says for what."""


@dataclass
class PickleSummary:
    """``storages``: bytes that each key's storage claims; ``end``: the offset after the pickle; ``value``: its result,
    where that is a string, a number or a list of these."""

    storages: dict[object, int] = field(default_factory=dict)
    end: int = 0
    value: object = None


def scan(data: bytes, start: int = 0) -> PickleSummary:
    """Follow one pickle from ``start`` on. Raises Refused for what would cost or break something, or is cut short."""
    try:
        return _Machine(data, start).run()
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise Refused("a pickle that is cut short or damaged") from None


class _Machine:
    def __init__(self, data: bytes, start: int):
        self.data, self.offset = data, start
        self.stack: list = []
        self.marks: list[list] = []
        self.memo: dict[int, object] = {}
        self.summary, self.key_count = PickleSummary(), 0

    def take(self, count: int) -> bytes:
        data = self.data[self.offset : self.offset + count]
        if len(data) < count:
            raise IndexError
        self.offset += count
        return data

    def number(self, count: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(count), "little", signed=signed)

    def line(self) -> str:
        end = self.data.find(b"\n", self.offset, self.offset + NAME)
        if end < 0:
            raise Refused(f"a name of more than {NAME} characters")
        text, self.offset = self.data[self.offset : end].decode(), end + 1
        return text

    def run(self) -> PickleSummary:
        for _ in range(OPS):
            op = self.take(1)[0]
            if op == 0x2E:  # STOP
                self.summary.end, self.summary.value = self.offset, self.stack[-1]
                return self.summary
            self.step(op)
        raise Refused(f"a pickle of more than {OPS} instructions")

    def step(self, op: int) -> None:
        stack = self.stack
        if op == 0x63:  # GLOBAL
            module, name = self.line(), self.line()
            renamed = NAME_MAPPING.get((module, name))  # protocol 2 uses the names of Python 2
            module, name = renamed or (IMPORT_MAPPING.get(module, module), name)
            stack.append(GlobalName(f"{module}.{name}"))
        elif op == 0x58:  # BINUNICODE
            stack.append(self.take(self.number(4)).decode("utf-8", "surrogatepass"))
        elif op == 0x55:  # SHORT_BINSTRING
            stack.append(self.take(self.number(1)).decode("latin-1"))
        elif op == 0x8A:  # LONG1
            stack.append(self.number(self.number(1), signed=True))
        elif op == 0x80 and self.data[self.offset] > 2:  # PROTO
            raise Refused(f"a pickle of protocol {self.data[self.offset]}, which torch never writes by itself")
        elif op in ARGUMENTS:
            self.plain(op, self.number(ARGUMENTS[op], signed=op == 0x4A))
        else:
            raise Refused(f"the pickle instruction {bytes([op])!r}, which torch never writes")

    def plain(self, op: int, argument: int) -> None:
        stack = self.stack
        if op in b"JKM":
            stack.append(argument)
        elif op in b"GN\x88\x89":
            stack.append(PLAIN)
        elif op in b"]}\x8f":
            stack.append([] if op == 0x5D else {})
        elif op == 0x28:  # MARK
            self.marks.append(stack)
            self.stack = []
        elif op in b")t\x85\x86\x87":
            self.group(op)
        elif op in b"hj":
            stack.append(self.memo[argument])
        elif op in b"qr":
            self.memo[argument] = stack[-1]
        elif op in b"ae":
            items = [stack.pop()] if op == 0x61 else self.marked()
            if isinstance(self.stack[-1], list):
                self.stack[-1].extend(items)
        elif op in b"su":
            pair = [stack.pop(), stack.pop()][::-1] if op == 0x73 else self.marked()
            for key in pair[::2]:
                self.hashed(key)
        elif op == 0x52:  # REDUCE
            arguments = stack.pop()
            stack[-1] = self.called(stack[-1], arguments, CALLABLE)
        elif op == 0x81:  # NEWOBJ
            arguments = stack.pop()
            stack[-1] = self.called(stack[-1], arguments, INSTANTIABLE)
        elif op == 0x62:  # BUILD
            stack.pop()
            if stack[-1] is REBUILT:
                raise Refused("a tensor that is changed after it was made")
        elif op == 0x51:  # BINPERSID
            stack[-1] = self.storage(stack[-1])

    def marked(self) -> list:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def group(self, op: int) -> None:
        count = {0x29: 0, 0x85: 1, 0x86: 2, 0x87: 3}.get(op)
        if count is None:
            items = self.marked()
        else:
            items = self.stack[len(self.stack) - count :]
            if len(items) < count:
                raise IndexError
            del self.stack[len(self.stack) - count :]
        inside = [item for item in items if isinstance(item, TupleValue)]
        depth, size = 1 + max((i.depth for i in inside), default=0), len(items) + sum(i.size for i in inside)
        if depth > DEPTH or size > TUPLE:
            raise Refused(f"tuples nested deeper than {DEPTH}, or of more than {TUPLE} values")
        slow = any(i.slow if isinstance(i, TupleValue) else _slow(i) for i in items)
        self.stack.append(TupleValue(tuple(items), depth, size, slow))

    def hashed(self, key) -> None:
        self.key_count += key.size if isinstance(key, TupleValue) else 1
        if self.key_count > KEYS or (key.slow if isinstance(key, TupleValue) else _slow(key)):
            raise Refused("a mapping whose keys would take hours to compare")

    def called(self, function, arguments, allowed: frozenset[str]):
        if not isinstance(function, GlobalName) or not isinstance(arguments, TupleValue):
            raise Refused("a call of something that is not a function")
        if function.name not in allowed:
            is_tensor = function.name.startswith(("torch._utils._rebuild", "torch.serialization._get_layout"))
            raise Refused(f"a tensor that is not a plain array ({function.name})" if is_tensor else function.name)
        if function.name in SETS and arguments.items and isinstance(arguments.items[0], list):
            for item in arguments.items[0]:  # of an OrderedDict: [key, value]
                self.hashed(item[0] if isinstance(item, list) and item else item)
        fault = call_fault(function.name, arguments.items)
        if fault:
            raise Refused(fault)
        if function.name.startswith("torch._utils._rebuild"):
            return REBUILT
        return (
            pickle_calls.PlainDtype()
            if function.name == pickle_calls.DTYPE
            else []
            if function.name in pickle_calls.LISTS
            else PLAIN
        )

    def storage(self, reference) -> Storage:
        """('storage', class, key, device, items, …) → the stand-in; a key always means the same storage."""
        items = reference.items if isinstance(reference, TupleValue) else ()
        if len(items) < 5 or items[0] != "storage" or not isinstance(items[1], GlobalName):
            raise Refused("a reference to something that is not a storage")
        key, count, width = items[2], items[4], ITEM_BYTES.get(items[1].name.rpartition(".")[2])
        if width is None:
            raise Refused(f"a storage of the kind {items[1].name}")
        if not isinstance(key, (str, int)) or not isinstance(count, int) or count < 0:
            raise Refused("a storage without a size")
        if self.summary.storages.setdefault(key, count * width) != count * width:
            raise Refused("a storage of two sizes")
        if len(items) > 5 and isinstance(items[5], TupleValue):  # a view of it, as in the oldest files
            _, first, count = (*items[5].items, None, None, None)[:3]
            bound = self.summary.storages[key] // width
            if not (isinstance(first, int) and isinstance(count, int) and 0 <= first <= first + count <= bound):
                raise Refused("a view beyond its storage")
        return Storage(count)


def _slow(value) -> bool:
    return isinstance(value, int) and value.bit_length() > KEY_BITS
