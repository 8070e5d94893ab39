"""Noise of a stream by absolute frame: each row is drawn once, and many at a time."""

from __future__ import annotations

from torch import Tensor

from fastsvc.engine.cpu.sampler import Noise
from fastsvc.engine.stream.tape import Tape

AHEAD = 64  # rows that one draw takes: of a few rows, Philox's hundred small operations would cost more than the draw


class Draws:
    """Noise by step and absolute row."""

    def __init__(self, noise: Noise, channels: int):
        self.noise, self.channels = noise, channels
        self.clear()

    def clear(self) -> None:
        self.tapes: dict[int, Tape] = {}

    def rows(self, step: int, first: int, last: int) -> Tensor:
        """Rows first … last − 1; those below ``first`` are not asked for again."""
        tape = self.tapes.setdefault(step, Tape(self.channels))
        if last > tape.end:
            tape.append(self.noise(step, tape.end, max(last, tape.end + AHEAD)))
        tape.forget(first)
        return tape.rows(first, last)
