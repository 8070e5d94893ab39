"""Two sound cards, two clocks: how much faster or slower the output is computed so that the delay stays the same."""

from __future__ import annotations

import numpy as np

EVERY_S = 0.5  # a mean of the delay's error over that long
PROPORTIONAL, INTEGRAL = 0.1, 0.0025  # critically damped: a drift of 200 ppm moves the delay by 1.5 ms before it ends
MOST = 1e-3  # of the speed: 1.7 cents
JUMP_S = 0.02  # an error beyond is not drift: samples are left out or repeated
SPLICE_S = 0.01  # the fade there


class Pace:
    """``ratio``: input samples for an output sample, against the rates' ratio; ``jump_s``: to be left out at once."""

    def __init__(self):
        self.ratio, self.integral, self.jump_s = 1.0, 0.0, 0.0
        self.count, self.sum_s, self.passed_s = 0, 0.0, 0.0

    def note(self, error_s: float, passed_s: float) -> None:
        """The delay is longer than it should be by ``error_s``, ``passed_s`` after the last note."""
        if self.jump_s:
            return
        self.count, self.sum_s, self.passed_s = self.count + 1, self.sum_s + error_s, self.passed_s + passed_s
        if self.passed_s < EVERY_S:
            return
        mean_s, passed_s = self.sum_s / self.count, self.passed_s
        self.count, self.sum_s, self.passed_s = 0, 0.0, 0.0
        if abs(mean_s) > JUMP_S:
            self.jump_s = mean_s
            return
        self.integral = float(np.clip(self.integral + INTEGRAL * mean_s * passed_s, -MOST, MOST))
        self.ratio = 1 + float(np.clip(self.integral + PROPORTIONAL * mean_s, -MOST, MOST))

    def jumped(self) -> None:
        """Samples were left out or repeated."""
        self.jump_s, self.count, self.sum_s, self.passed_s = 0.0, 0, 0.0, 0.0


def spliced(samples: np.ndarray, skip: int, fade: int) -> tuple[np.ndarray, int]:
    """(float32 without ``skip`` of its samples, or, below 0, with as many repeated; how many these are).

    The two ends are faded into each other over ``fade`` samples. Fewer are left out or repeated where there are not
    enough.
    """
    size = min(abs(skip), max(0, len(samples) - fade))
    share = np.arange(1, fade + 1, dtype=np.float32) / (fade + 1)
    if not size:
        return samples, 0
    before, after = (0, size) if skip > 0 else (size, 0)  # where the one ends, and the other goes on
    joint = (1 - share) * samples[before : before + fade] + share * samples[after : after + fade]
    joined = np.concatenate((samples[:before], joint, samples[after + fade :]))
    return joined, size if skip > 0 else -size
