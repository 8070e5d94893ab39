"""The registers of all lanes of a launch: an array a name, never changed in place, so that copies cost nothing."""

from __future__ import annotations

import numpy as np

from ptx import kinds

READ_EARLY = "an accumulator is read before its product is awaited"
WRITTEN_EARLY = "a register is written while a product in flight uses it"


class Registers:
    """A register that was never written holds zeros. A product in flight locks its registers (warpgroup.py)."""

    def __init__(self, program, lanes: int, faults):
        self.program, self.lanes, self.faults = program, lanes, faults
        self.values: dict[str, np.ndarray] = {}
        # Of products in flight, the lanes (bool): accumulators may not be touched, other operands not be written.
        self.accumulators: dict[str, np.ndarray] = {}
        self.operands: dict[str, np.ndarray] = {}

    def read(self, name: str, active: np.ndarray | None) -> np.ndarray:
        """Of the active lanes, as bits."""
        if self.accumulators and _locked(self.accumulators, name, active):
            self.faults.report(READ_EARLY, name)
        value = self.peek(name)
        return value if active is None else value[active]

    def peek(self, name: str) -> np.ndarray:
        """Of all lanes, whatever is in flight."""
        value = self.values.get(name)
        if value is None:
            value = self.values[name] = np.zeros(self.lanes, self.program.type_of(name))
        return value

    def write(self, name: str, value: np.ndarray, active: np.ndarray | None) -> None:
        """``value`` of the active lanes, of any type of the register's width; narrower ones are extended."""
        if name == "_":
            return
        if self.operands and (_locked(self.operands, name, active) or _locked(self.accumulators, name, active)):
            self.faults.report(WRITTEN_EARLY, name)
        self.poke(name, value, active)

    def poke(self, name: str, value: np.ndarray, active: np.ndarray | None) -> None:
        """As :meth:`write`, whatever is in flight."""
        dtype = self.program.type_of(name)
        if value.dtype.itemsize != dtype.itemsize:
            wide = np.dtype(f"{'i' if value.dtype.kind == 'i' else 'u'}{dtype.itemsize}")
            value = (value if value.dtype.kind in "iu" else value.view(kinds.unsigned(value.dtype))).astype(wide)
        value = value if value.dtype == dtype else value.view(dtype)
        if active is not None:
            whole = self.peek(name).copy()
            whole[active] = value
            value = whole
        self.values[name] = value


def _locked(locks: dict[str, np.ndarray], name: str, active: np.ndarray | None) -> bool:
    if name not in locks:
        return False
    return bool(locks[name].any() if active is None else locks[name][active].any())
