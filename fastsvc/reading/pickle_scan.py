"""A pickle read without making anything of it: how deep it nests, what it calls, how large its tensors are.

Torch's restricted unpickler runs nobody's code, but it believes numbers: it calls what is harmless in itself with any
size, grows a storage to what a tensor claims, and leaves nested tuples behind whose hash overflows C's stack. So the
same instructions are followed here first, on stand-ins (protocol 2, as torch writes it).
"""

from __future__ import annotations

import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass, field

from fastsvc.reading import pickle_calls
from fastsvc.reading.pickle_calls import CALLED, ITEM_BYTES, MADE, SETS, Called, Group, Storage, call_fault

OPS = 3_000_000  # instructions; real checkpoints have some ten thousand
DEPTH, TUPLE = 64, 10_000  # of nested tuples, and how many values one holds in all
KEY_BITS, KEYS = 60, 5_000_000  # of a whole number as a key: longer ones can all have one hash; values in all keys
NAME = 1000  # characters of a class's or function's
ARGUMENTS = {  # instruction: the bytes that follow
    **dict.fromkeys(b"\x81Rbaesu(t\x85\x86\x87N\x88\x89)]}\x8fQ.", 0),
    **{ord("J"): 4, ord("K"): 1, ord("M"): 2, ord("G"): 8, 0x80: 1},
    **{ord("h"): 1, ord("j"): 4, ord("q"): 1, ord("r"): 4},
}
PLAIN, REBUILT = object(), object()  # anything whose size is not asked for; a tensor


class Refused(ValueError):
    """The text says what the pickle does."""


@dataclass
class Scan:
    """``storages``: bytes that each key's storage claims; ``end``: the place behind the pickle; ``value``: its result,
    where that is a string, a number or a list of these."""

    storages: dict[object, int] = field(default_factory=dict)
    end: int = 0
    value: object = None


def scan(data: bytes, start: int = 0) -> Scan:
    """Follow one pickle from ``start`` on. Raises Refused for what would cost or break something, or is cut short."""
    try:
        return _Machine(data, start).run()
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise Refused("a pickle that is cut short or damaged") from None


class _Machine:
    def __init__(self, data: bytes, start: int):
        self.data, self.at = data, start
        self.stack: list = []
        self.marks: list[list] = []
        self.memo: dict[int, object] = {}
        self.found, self.keys = Scan(), 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise IndexError
        self.at += count
        return piece

    def number(self, count: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(count), "little", signed=signed)

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + NAME)
        if end < 0:
            raise Refused(f"a name of more than {NAME} characters")
        text, self.at = self.data[self.at : end].decode(), end + 1
        return text

    def run(self) -> Scan:
        for _ in range(OPS):
            op = self.take(1)[0]
            if op == 0x2E:  # STOP
                self.found.end, self.found.value = self.at, self.stack[-1]
                return self.found
            self.step(op)
        raise Refused(f"a pickle of more than {OPS} instructions")

    def step(self, op: int) -> None:
        stack = self.stack
        if op == 0x63:  # GLOBAL
            module, name = self.line(), self.line()
            named = NAME_MAPPING.get((module, name))  # protocol 2 has the names of Python 2
            module, name = named or (IMPORT_MAPPING.get(module, module), name)
            stack.append(Called(f"{module}.{name}"))
        elif op == 0x58:  # BINUNICODE
            stack.append(self.take(self.number(4)).decode("utf-8", "surrogatepass"))
        elif op == 0x55:  # SHORT_BINSTRING
            stack.append(self.take(self.number(1)).decode("latin-1"))
        elif op == 0x8A:  # LONG1
            stack.append(self.number(self.number(1), signed=True))
        elif op == 0x80 and self.data[self.at] > 2:  # PROTO
            raise Refused(f"a pickle of protocol {self.data[self.at]}, which torch never writes by itself")
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
            stack[-1] = self.called(stack[-1], arguments, CALLED)
        elif op == 0x81:  # NEWOBJ
            arguments = stack.pop()
            stack[-1] = self.called(stack[-1], arguments, MADE)
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
        inside = [item for item in items if isinstance(item, Group)]
        depth, size = 1 + max((i.depth for i in inside), default=0), len(items) + sum(i.size for i in inside)
        if depth > DEPTH or size > TUPLE:
            raise Refused(f"tuples nested deeper than {DEPTH}, or of more than {TUPLE} values")
        slow = any(i.slow if isinstance(i, Group) else _slow(i) for i in items)
        self.stack.append(Group(tuple(items), depth, size, slow))

    def hashed(self, key) -> None:
        self.keys += key.size if isinstance(key, Group) else 1
        if self.keys > KEYS or (key.slow if isinstance(key, Group) else _slow(key)):
            raise Refused("a mapping whose keys would take hours to compare")

    def called(self, what, arguments, allowed: frozenset[str]):
        if not isinstance(what, Called) or not isinstance(arguments, Group):
            raise Refused("a call of something that is not a function")
        if what.name not in allowed:
            odd = what.name.startswith(("torch._utils._rebuild", "torch.serialization._get_layout"))
            raise Refused(f"a tensor that is not a plain array ({what.name})" if odd else what.name)
        if what.name in SETS and arguments.items and isinstance(arguments.items[0], list):
            for item in arguments.items[0]:  # of an OrderedDict: [key, value]
                self.hashed(item[0] if isinstance(item, list) and item else item)
        fault = call_fault(what.name, arguments.items)
        if fault:
            raise Refused(fault)
        if what.name.startswith("torch._utils._rebuild"):
            return REBUILT
        return (
            pickle_calls.Numbers()
            if what.name == pickle_calls.DTYPE
            else []
            if what.name in pickle_calls.LISTS
            else PLAIN
        )

    def storage(self, given) -> Storage:
        """('storage', class, key, place, items, …) → the stand-in; a key always means the same storage."""
        items = given.items if isinstance(given, Group) else ()
        if len(items) < 5 or items[0] != "storage" or not isinstance(items[1], Called):
            raise Refused("a reference to something that is not a storage")
        key, count, width = items[2], items[4], ITEM_BYTES.get(items[1].name.rpartition(".")[2])
        if width is None:
            raise Refused(f"a storage of the kind {items[1].name}")
        if not isinstance(key, (str, int)) or not isinstance(count, int) or count < 0:
            raise Refused("a storage without a size")
        if self.found.storages.setdefault(key, count * width) != count * width:
            raise Refused("a storage of two sizes")
        if len(items) > 5 and isinstance(items[5], Group):  # a view of it, as the oldest files have
            _, first, count = (*items[5].items, None, None, None)[:3]
            bound = self.found.storages[key] // width
            if not (isinstance(first, int) and isinstance(count, int) and 0 <= first <= first + count <= bound):
                raise Refused("a view beyond its storage")
        return Storage(count)


def _slow(value) -> bool:
    return isinstance(value, int) and value.bit_length() > KEY_BITS
