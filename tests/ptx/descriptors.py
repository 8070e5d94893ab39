"""Where the elements of a wgmma's operand lie in shared memory, by its descriptor (PTX ISA, "Matrix descriptor")."""

from __future__ import annotations

import numpy as np

SPAN = {0: 16, 1: 128, 2: 64, 3: 32}  # bytes of a row before the next, by the way of swizzling
TURNS = {0: 0, 1: 7, 2: 3, 3: 1}  # bits of the row that are mixed into the place within it


def addresses(descriptors: np.ndarray, rows: int, depth: int, width: int, turned: bool) -> np.ndarray:
    """Descriptors [groups] (uint64) → addresses [groups, rows, depth] of elements of ``width`` bytes.

    Rows are those of A, or the columns of B. ``turned``: neighbours in memory are those of a column, not of a row.
    """
    bits = descriptors.astype(object)
    start, leading, stride = (_field(bits, low) for low in (0, 16, 32))
    (mode,) = {int(value) >> 62 for value in bits}
    row, k, span = np.arange(rows)[:, None], np.arange(depth)[None, :], SPAN[mode]
    if turned:
        per = span // width
        place = (row % per) * width + (k % 8) * span
        place = place + (row // per) * leading[:, None, None] + (k // 8) * stride[:, None, None]
    elif mode == 0:
        core = 16 // width
        place = (row % 8) * 16 + (k % core) * width
        place = place + (row // 8) * stride[:, None, None] + (k // core) * leading[:, None, None]
    else:
        place = (row // 8) * stride[:, None, None] + (row % 8) * span + k * width
    place = place + start[:, None, None]
    return place ^ (((place >> 7) & TURNS[mode]) << 4)


def _field(bits: np.ndarray, low: int) -> np.ndarray:
    """14 bits that count 16 bytes."""
    return np.array([((int(value) >> low) & 0x3FFF) << 4 for value in bits], np.int64)
