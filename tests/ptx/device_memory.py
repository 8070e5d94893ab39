"""Global memory: tensors' storages with unmapped gaps between them, so that an access beyond one is noticed."""

from __future__ import annotations

import ctypes

import numpy as np
import torch

from ptx.races import AccessLog, granules

BASE = 0x7F0000000000  # addresses of devices look like this; none is one of the host
GAP = 8192  # bytes between storages
ALIGNMENT = 256  # of storages, as CUDA's allocator gives them
PAST_BOUNDS = "global memory: access out of bounds"
UNALIGNED = "global memory: misaligned access"
RACE = "global memory: two blocks, or two warps without a barrier, touch the same place"


class DeviceMemory:
    """A copy of the storages for one launch; :meth:`store_back` writes changes into them."""

    base = BASE

    def __init__(self, tensors: list[torch.Tensor]):
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}
        self.places, top = {}, GAP
        for pointer, storage in storages.items():
            self.places[pointer] = top, storage
            top += -(-storage.nbytes() // ALIGNMENT) * ALIGNMENT + GAP
        self.data, self.mapped = np.zeros(top, np.uint8), np.zeros(top, bool)
        for pointer, (place, storage) in self.places.items():
            size = storage.nbytes()
            self.data[place : place + size] = _bytes_at(pointer, size)
            self.mapped[place : place + size] = True
        self.log = AccessLog(top)

    def address(self, pointer: int) -> int:
        """A pointer of the host → the address that a kernel is given. Raises KeyError beyond all storages."""
        for start, (place, storage) in self.places.items():
            if start <= pointer < start + max(1, storage.nbytes()):
                return BASE + place + pointer - start
        raise KeyError(f"{pointer:#x} is not in the tensors of this launch")

    def load(self, instruction, machine, address: np.ndarray, size: int, lanes: np.ndarray) -> np.ndarray:
        """Bytes [lanes, size]; zeros where there is no memory."""
        at, good = self.checked(instruction, machine, address, size, lanes)
        return self.bytes_at(at + BASE, size, good)

    def bytes_at(self, address: np.ndarray, size: int, wanted: np.ndarray) -> np.ndarray:
        """Bytes [lanes, size] of aligned addresses, without a check; zeros where not ``wanted`` or beyond all."""
        place, rows = (address - BASE) // size, self.rows(size)
        good = wanted & (place >= 0) & (place < len(rows))
        raw = np.zeros((len(place), size), np.uint8)
        raw[good] = rows[place[good]]
        return raw

    def checked(self, instruction, machine, address: np.ndarray, size: int, lanes: np.ndarray):
        """A read's offsets and whether each is good; faults are reported."""
        at, good = self._inside(instruction, machine, address, size)
        own = machine.stamps[lanes[good]]
        _report(instruction, machine, self.log.reading(at[good], size, own))
        return at, good

    def store(self, instruction, machine, address: np.ndarray, raw: np.ndarray, lanes: np.ndarray) -> None:
        """``raw``: bytes [lanes, size]."""
        size = raw.shape[1]
        at, good = self._inside(instruction, machine, address, size)
        own = machine.stamps[lanes[good]]
        _report(instruction, machine, self.log.writing(at[good], size, own))
        self.rows(size)[at[good] // size] = raw[good]

    def rows(self, size: int) -> np.ndarray:
        """The memory in rows of ``size`` bytes, [n, size]."""
        return self.data[: len(self.data) // size * size].reshape(-1, size)

    def _inside(self, instruction, machine, address, size) -> tuple[np.ndarray, np.ndarray]:
        at = address - BASE
        if (at % size).any():
            machine.faults.report(UNALIGNED, instruction, f"{size} bytes")
            at = at // size * size
        good = (at >= 0) & (at + size <= len(self.data))
        inside = np.where(good, at, 0)
        good &= self.mapped[inside] & self.mapped[inside + size - 1]
        if not good.all():
            machine.faults.report(PAST_BOUNDS, instruction, f"{np.count_nonzero(~good)} threads")
        return at, good

    def store_back(self) -> None:
        """Write what kernels wrote into the host's storages."""
        for pointer, (place, storage) in self.places.items():
            size = storage.nbytes()
            touched = granules(np.array([place]), size)[0] if size else np.array([], int)
            if (self.log.written[touched] >= 0).any():
                _bytes_at(pointer, size)[:] = self.data[place : place + size]


def _report(instruction, machine, stamps: np.ndarray) -> None:
    """``stamps``: those at odds with an access."""
    if len(stamps):
        machine.faults.report(RACE, instruction)


def _bytes_at(pointer: int, size: int) -> np.ndarray:
    return np.frombuffer((ctypes.c_uint8 * size).from_address(pointer), np.uint8) if size else np.zeros(0, np.uint8)
