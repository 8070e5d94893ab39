"""PyTorch's build for CPUs asks for the current CUDA device, and knows none: from now on it is number 0.

A device's guard is a C++ object of a few virtual functions, one for each kind of device in a table of libc10. The
CPU's does nothing; CUDA's becomes the same, but for the first three functions: kind, exchange, current device.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch

CPU, CUDA = 0, 1  # places in the table, and kinds of devices
KINDS, FUNCTIONS = 20, 40
CURRENT = CUDA  # a c10::Device in two bytes, kind and number: the number 0
_kept: list = []  # what the table points to


def install() -> None:
    library = next((Path(torch.__file__).parent / "lib").glob("libc10.*"))
    table = (ctypes.c_void_p * KINDS).in_dll(ctypes.CDLL(str(library)), "_ZN3c104impl26device_guard_impl_registryE")
    if table[CUDA] is not None:
        return
    first = ctypes.c_void_p.from_address(table[CPU]).value
    functions = (ctypes.c_void_p * FUNCTIONS)(*(ctypes.c_void_p * FUNCTIONS).from_address(first - 16))
    changed = [
        ctypes.CFUNCTYPE(ctypes.c_int8, ctypes.c_void_p)(lambda this: CUDA),
        ctypes.CFUNCTYPE(ctypes.c_uint16, ctypes.c_void_p, ctypes.c_uint16)(lambda this, device: CURRENT),
        ctypes.CFUNCTYPE(ctypes.c_uint16, ctypes.c_void_p)(lambda this: CURRENT),
    ]
    for place, function in enumerate(changed, start=2):  # two words about the type stand before the functions
        functions[place] = ctypes.cast(function, ctypes.c_void_p).value
    guard = (ctypes.c_void_p * 1)(ctypes.addressof(functions) + 16)
    _kept.extend((functions, changed, guard))
    table[CUDA] = ctypes.addressof(guard)
