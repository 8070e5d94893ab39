"""Stand-ins for the objects beside a checkpoint's tensors while torch's restricted unpickler reads it.

The named classes are never imported, created or called: torch takes these stand-ins instead, by name. The stand-ins
keep nothing, except that containers become plain ones and numpy's scalars Python's numbers.
"""

from __future__ import annotations

import struct

from fastsvc.reading.pickle_calls import ARRAY, ARRAYS, DTYPE, INERT, LISTS, MAPPINGS, SCALARS

FORMATS = {"b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"}
FORMATS |= {"f2": "e", "f4": "f", "f8": "d"}


class Inert:
    """Stands for an object of a foreign class: accepts any arguments, keeps nothing, does nothing."""

    __slots__ = ()

    def __new__(cls, *args):
        return super().__new__(cls)

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        pass

    def __repr__(self):  # messages show keys and values
        return "an object"


class Array(Inert):
    """Stands for numpy.ndarray, whose numbers are not used here."""

    __slots__ = ()


class Dtype:
    """Stands for numpy.dtype: ``code`` as "f8", and the order of its bytes."""

    __slots__ = ("code", "order")

    def __init__(self, code="", *args):
        self.code, self.order = (code if type(code) is str else ""), "<"

    def __setstate__(self, state):
        """``state``: (version, order, …)."""
        if type(state) is tuple and len(state) > 1 and state[1] == ">":
            self.order = ">"


class Mapping:
    """Stands for mappings of other classes; creates a plain one."""

    def __new__(cls, *args):
        return {}


class Sequence:
    """Stands for sequences of other classes; creates a list."""

    def __new__(cls, *args):
        return []


def array(*args) -> Array:
    """Replaces numpy's `_reconstruct`."""
    return Array()


def scalar(kind=None, data=b"", *args):
    """Replaces numpy's `scalar`: the number in ``data``, or an Inert where that is not a number (text, a date)."""
    struct_code = FORMATS.get(kind.code) if type(kind) is Dtype else None
    if struct_code is None or type(data) is not bytes or len(data) != struct.calcsize("<" + struct_code):
        return Inert()
    return struct.unpack(kind.order + struct_code, data)[0]


STAND_INS = [
    *((Inert, name) for name in INERT),
    *((Mapping, name) for name in MAPPINGS),
    *((Sequence, name) for name in LISTS),
    *((scalar, name) for name in SCALARS),
    *((array, name) for name in ARRAYS),
    (Array, ARRAY),
    (Dtype, DTYPE),
]
