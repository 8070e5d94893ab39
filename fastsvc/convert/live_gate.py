"""A gate for silence: where the input is quiet the output is silent, so that a room's noise is no voice."""

from __future__ import annotations

from collections import deque

import numpy as np

WINDOW_S = 0.01  # of one level
HYSTERESIS_DB = 6.0  # below the threshold, where it closes
HOLD_S = 0.2  # how long the input must be quiet
OPENING_S, CLOSING_S = 0.005, 0.05  # fades
QUIETEST_DB = -120.0


class Gate:
    """It hears the input first and is applied to the output later, so it opens a window before the sound begins.

    ``threshold_db``: of the RMS of a window, against full scale; None: always open.
    """

    def __init__(self, rate_hz: int, threshold_db: float | None):
        self.threshold_db, self.window = threshold_db, max(1, round(WINDOW_S * rate_hz))
        self.up, self.down = 1 / max(1, round(OPENING_S * rate_hz)), 1 / max(1, round(CLOSING_S * rate_hz))
        self.clear()

    def clear(self) -> None:
        self.rest = np.zeros(0, np.float32)  # of the input, shorter than a window
        self.open, self.quiet, self.gain = self.threshold_db is None, 0, float(self.threshold_db is None)
        self.states: deque[bool] = deque()  # of windows whose output has not come
        self.state, self.left = self.open, self.window  # of the output's window, samples left in it

    def hear(self, samples: np.ndarray) -> None:
        if self.threshold_db is None:
            return
        samples = np.concatenate((self.rest, samples))
        whole = len(samples) // self.window * self.window
        self.rest = samples[whole:].copy()
        powers = np.square(samples[:whole].reshape(-1, self.window), dtype=np.float64).mean(axis=1)
        for level_db in 10 * np.log10(np.maximum(powers, 10 ** (QUIETEST_DB / 10))):
            self._decide(float(level_db))

    def _decide(self, level_db: float) -> None:
        """The state of one more window; a loud one opens that before it as well."""
        assert self.threshold_db is not None, "there is a gate"
        self.quiet = self.quiet + 1 if level_db < self.threshold_db - HYSTERESIS_DB else 0
        if level_db >= self.threshold_db:
            self.open = True
            if self.states:
                self.states[-1] = True
        elif self.quiet * WINDOW_S >= HOLD_S:
            self.open = False
        self.states.append(self.open)

    def apply(self, samples: np.ndarray) -> np.ndarray:
        """The next samples of the output, as much later than the input as they like."""
        if self.threshold_db is None:
            return samples
        output, place = samples.copy(), 0
        while place < len(output):
            if self.left == self.window and self.states:
                self.state = self.states.popleft()
            size = min(self.left, len(output) - place)
            self._fade(output[place : place + size])
            place, self.left = place + size, self.left - size or self.window
        return output

    def _fade(self, piece: np.ndarray) -> None:
        """Multiply by the gain, which goes towards 1 or 0."""
        if self.gain == self.state:
            if not self.state:
                piece[:] = 0
            return
        steps = np.arange(1, len(piece) + 1) * (self.up if self.state else -self.down)
        gains = np.clip(self.gain + steps, 0, 1)
        piece *= gains.astype(np.float32)
        self.gain = float(gains[-1])
