"""The rectified flow of DDSP-SVC 6: from the first mel and noise at t_start along the velocity to t = 1.

A distilled network jumps instead: D(x, t) = x + (1 − t)·v(x, t) is the mel at t = 1, and further steps start from D
with new noise (the consistency sampler). One step of it is one Euler step.

Times of an engine's schedule are levels 1 − t, which fall as noise levels do elsewhere.
"""

import itertools
from collections.abc import Callable

from torch import Tensor

LOW, HIGH = -12.0, 2.0  # natural log-mels that become −1 and 1
VelocityAt = Callable[[Tensor, float], Tensor]  # (x, level) → velocity
NoiseOf = Callable[[int], Tensor]  # number of the draw → standard normal noise of the state's shape


def normalised(mel: Tensor) -> Tensor:
    """Log-mel → the space of the flow, not clamped."""
    return (mel - LOW) / (HIGH - LOW) * 2 - 1


def denormalised(x: Tensor) -> Tensor:
    """The inverse of :func:`normalised`."""
    return (x + 1) / 2 * (HIGH - LOW) + LOW


def levels(t_start: float, steps: int) -> list[float]:
    """1 − t at the borders of ``steps`` equal steps from t_start; the last is 0."""
    return [(1 - t_start) * (steps - i) / steps for i in range(steps + 1)]


def evaluated(method: str, row: list[float]) -> list[float]:
    """The levels of a schedule at which ``method`` evaluates the velocity, falling."""
    if method != "rk4":
        return row[:-1]
    halves = [middle(a, b) for a, b in itertools.pairwise(row)]
    return sorted({*row, *halves}, reverse=True)


def middle(level: float, after: float) -> float:
    return (level + after) / 2


def evaluations(method: str, row: list[float]) -> int:
    """How often the velocity is evaluated."""
    return (len(row) - 1) * (4 if method == "rk4" else 1)


def start(first_mel: Tensor, noise: Tensor, level: float) -> Tensor:
    """The state at ``level`` = 1 − t_start: log-mel and standard normal noise of one shape → x."""
    return (1 - level) * normalised(first_mel) + level * noise


def euler(velocity: VelocityAt, row: list[float], x: Tensor) -> Tensor:
    for level, after in itertools.pairwise(row):
        x = x + (level - after) * velocity(x, level)
    return x


def rk4(velocity: VelocityAt, row: list[float], x: Tensor) -> Tensor:
    """The classical method of fourth order: four evaluations a step."""
    for level, after in itertools.pairwise(row):
        step, half = level - after, middle(level, after)
        first = velocity(x, level)
        second = velocity(x + step / 2 * first, half)
        third = velocity(x + step / 2 * second, half)
        last = velocity(x + step * third, after)
        x = x + step / 6 * (first + 2 * second + 2 * third + last)
    return x


def consistency(velocity: VelocityAt, row: list[float], x: Tensor, noise: NoiseOf) -> Tensor:
    """Jumps to the end, each but the first from the end of the one before with new noise."""
    for step, (level, after) in enumerate(itertools.pairwise(row), 1):
        x = x + level * velocity(x, level)
        if after:
            x = (1 - after) * x + after * noise(step)
    return x


def solved(method: str, velocity: VelocityAt, row: list[float], x: Tensor, noise: NoiseOf) -> Tensor:
    """The state at the end of ``row``; ``noise``: draws after the start's, which was number 0."""
    if method == "consistency":
        return consistency(velocity, row, x, noise)
    return {"euler": euler, "rk4": rk4}[method](velocity, row, x)
