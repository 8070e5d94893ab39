"""PTX's types as NumPy's: b16 u16 s16 f16 … of 8 to 64 bits, predicates; bfloat16 is kept as bits."""

from __future__ import annotations

import functools

import numpy as np

UNSIGNED = {8: np.dtype("u1"), 16: np.dtype("u2"), 32: np.dtype("u4"), 64: np.dtype("u8")}
KINDS = {"b": "u", "u": "u", "s": "i", "f": "f"}
PREDICATE = np.dtype(bool)


@functools.cache
def of(name: str) -> np.dtype:
    """``s32`` → int32, ``pred`` → bool; two packed halves (f16x2) and tf32 are their 32 bits. Raises KeyError."""
    if name == "pred":
        return PREDICATE
    if name in ("f16x2", "bf16x2", "tf32"):
        return UNSIGNED[32]
    if name == "bf16":
        return UNSIGNED[16]
    return np.dtype(f"{KINDS[name[0]]}{int(name[1:]) // 8}")


def unsigned(dtype: np.dtype) -> np.dtype:
    """The type of the same width whose values are bits."""
    return UNSIGNED[8 * dtype.itemsize]


def wider(dtype: np.dtype) -> np.dtype:
    """int32 → int64."""
    return np.dtype(f"{dtype.kind}{2 * dtype.itemsize}")


@functools.cache
def scalar(bits: int, dtype: np.dtype):
    """The number of this type that has these bits, the lowest ones where there are more."""
    if dtype == PREDICATE:
        return np.bool_(bits & 1)
    masked = bits & ((1 << 8 * dtype.itemsize) - 1)
    return np.array([masked], unsigned(dtype)).view(dtype)[0]


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 → bits of bfloat16, rounded to nearest even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(values), np.uint32(0x7FFF), rounded).astype(np.uint16)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def pairs(words: np.ndarray, dtype) -> np.ndarray:
    """uint32 [n] → its halves, low one first, [n, 2]."""
    return np.ascontiguousarray(words).view(dtype).reshape(-1, 2)


def packed(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Two 16-bit arrays [n] → uint32 [n]."""
    return np.ascontiguousarray(np.stack([low, high], 1)).view(np.uint32).reshape(-1)
