"""Asynchronous work: threads commit it in groups, and wait until at most so many of their groups are left."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Work:
    """Work of some threads; every array field has a row for each of ``lanes``. ``groups``: how many these had committed
    before."""

    instruction: object
    lanes: np.ndarray
    groups: np.ndarray

    def part(self, mask: np.ndarray) -> Work:
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return replace(self, **{name: value[mask] for name, value in arrays.items()})


class Groups:
    """What is in flight. ``committed``: the groups of each lane so far."""

    def __init__(self, lanes: int):
        self.committed, self.flying = np.zeros(lanes, np.int64), []

    def commit(self, lanes: np.ndarray) -> None:
        self.committed[lanes] += 1

    def finished(self, lanes: np.ndarray, keep: int) -> list[Work]:
        """The work that these lanes now await: all but that of their last ``keep`` groups (−1: that of none, too)."""
        waiting = np.zeros(len(self.committed), bool)
        waiting[lanes] = True
        done, left = [], []
        for work in self.flying:
            due = waiting[work.lanes] & (work.groups < self.committed[work.lanes] - keep)
            done += [work.part(due)] if due.any() else []
            left += [work.part(~due)] if not due.all() else []
        self.flying = left
        return done
