"""Rows by their absolute place: samples or frames of a stream, of which only the latest are kept."""

from __future__ import annotations

import torch
from torch import Tensor


class Tape:
    """Rows of one shape, appended at the end and forgotten at the start; the buffer stays as large as once needed."""

    def __init__(self, *shape: int, dtype=torch.float32):
        self.shape, self.dtype = shape, dtype
        self.buffer = torch.empty(0, *shape, dtype=dtype)
        self.start = self.end = 0  # the rows that are kept, by absolute place
        self.offset = 0  # of the first kept row in the buffer

    def append(self, rows: Tensor) -> None:
        kept, size = self.end - self.start, len(rows)
        if self.offset + kept + size > len(self.buffer):
            buffer = self.buffer
            if 2 * (kept + size) > len(buffer):  # half the buffer free: moved once a buffer's length, not each time
                buffer = torch.empty(3 * (kept + size), *self.shape, dtype=self.dtype)
            buffer[:kept] = self.buffer[self.offset : self.offset + kept].clone()
            self.buffer, self.offset = buffer, 0
        self.buffer[self.offset + kept : self.offset + kept + size] = rows
        self.end += size

    def rows(self, first: int, last: int) -> Tensor:
        """Rows first … last − 1, zeros before row 0 and after the last one; a view where none are missing."""
        begin, end = max(first, 0), max(min(last, self.end), first, 0)
        if begin < self.start and end > begin:
            raise ValueError(f"row {begin} is forgotten, {self.start} is the first that is kept")
        rows = self.buffer[self.offset + begin - self.start : self.offset + end - self.start] if end > begin else None
        if rows is not None and len(rows) == last - first:
            return rows
        padded = torch.zeros(last - first, *self.shape, dtype=self.dtype)
        if rows is not None:
            padded[begin - first : end - first] = rows
        return padded

    def forget(self, before: int) -> None:
        """Rows below ``before`` are not asked for again."""
        before = min(max(before, self.start), self.end)
        self.offset += before - self.start
        self.start = before
