"""What live conversion does with samples, without cards and threads: conversion, share of the input, gate."""

from __future__ import annotations

from collections import deque

import numpy as np

from fastsvc.convert.live_gate import Gate
from fastsvc.engine.stream import unusable

FADE_S = 0.02  # from one mix to the next


class Chain:
    """``stream``: a fastsvc.engine.stream.Stream. Sample n of the output belongs to sample n of the input.

    ``mix``: the share of the converted voice, 1 to 0; the rest is the input, delayed as the voice is.
    ``peak_in``, ``peak_out``: since they were last set to 0; ``replaced``: samples that were not finite, or huge.
    """

    def __init__(self, stream, rate_hz: int, mix: float = 1.0, gate_db: float | None = None):
        self.stream, self.mix, self.next_mix = stream, mix, mix
        self.gate, self.fade = Gate(rate_hz, gate_db), max(1, round(FADE_S * rate_hz))
        self.dry: deque[np.ndarray] = deque()  # input whose output has not come
        self.peak_in = self.peak_out = 0.0
        self.replaced = 0

    def set(self, *, mix: float | None = None, **changes) -> None:
        """From the next samples on, faded. Other changes: as Stream.set, which raises for those that it refuses."""
        if changes:
            self.stream.set(**changes)
        self.next_mix = self.next_mix if mix is None else mix

    def clear(self) -> None:
        """The next samples begin another recording."""
        self.stream.flush()
        self.dry.clear()
        self.gate.clear()

    def push(self, samples: np.ndarray) -> np.ndarray:
        """float32 [n] → float32, what is final now. ``samples`` may be changed: those that are not finite become 0."""
        wrong = unusable(samples)
        if wrong.any():
            self.replaced += int(wrong.sum())
            samples[wrong] = 0
        self.peak_in = max(self.peak_in, float(np.abs(samples).max(initial=0.0)))
        self.gate.hear(samples)
        self.dry.append(samples)
        made = self.stream.push(samples)
        made = self.gate.apply(self._mixed(made, self._dry(len(made))))
        self.peak_out = max(self.peak_out, float(np.abs(made).max(initial=0.0)))
        return made

    def _dry(self, count: int) -> np.ndarray:
        """The input that the next ``count`` samples of the output belong to."""
        pieces = [np.zeros(0, np.float32)]
        while count:
            piece = self.dry.popleft()
            if len(piece) > count:
                self.dry.appendleft(piece[count:])
                piece = piece[:count]
            pieces.append(piece)
            count -= len(piece)
        return np.concatenate(pieces)

    def _mixed(self, made: np.ndarray, dry: np.ndarray) -> np.ndarray:
        if self.mix == self.next_mix == 1 or not len(made):
            return made
        steps = np.linspace(0, 1, min(self.fade, len(made)) + 1, dtype=np.float32)[1:]
        shares = np.full(len(made), self.next_mix, np.float32)
        shares[: len(steps)] = self.mix + (self.next_mix - self.mix) * steps
        self.mix = self.next_mix
        return shares * made + (1 - shares) * dry
