"""Checks of arguments: the right kind, finite, within limits that the command line shares.

numpy's whole numbers, floats and booleans count as Python's. Text is not a number, a boolean is neither a whole number
nor a float, and 1.0 is not a whole number: such values are mistakes that would otherwise show late.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from fastsvc.config import limits
from fastsvc.config.shown import shown
from fastsvc.errors import ConfigError

Checked = TypeVar("Checked")
# (lowest, highest) of whole numbers, then of other numbers; the command line shows them in --help
SEED = (0, 2**64 - 1)
STEPS = limits.STEPS
RATE_HZ = (1000, 1_000_000)  # of recordings, and of results
WORKERS = 1, 100_000  # of a cluster
BATCH = (1, 4096)
JOBS = (1, 1024)
CLUSTERS = (2, 32767)  # labels are int16
DEPTH = (2, 1_000_000)
SINGERS = (0, 10_000)
CLIPS = (0, 100_000)
F0_HZ = tuple(map(float, limits.F0_HZ))
SEMITONES = (-60.0, 60.0)
AUTO_TRANSPOSE = ("auto", "octaves")
RMS_MIX_RATE = (0.0, 1.0)  # as RVC's: 0 the recording's loudness over time, 1 the model's own
DEFAULT_RMS_MIX_RATE = 0.0  # bench/results/level.json
NOISE_SCALE = (0.0, 1.0)  # factor on the sampler's draws; of RVC's voices, on RVC's own 0.66666
DEFAULT_NOISE_SCALE = 1.0
# Of RVC's voices; the defaults are those of its page.
INDEX_RATE = (0.0, 1.0)  # share of what the index found in the units
DEFAULT_INDEX_RATE = 0.75
PROTECT = (0.0, 0.5)  # that share again, in unvoiced frames; 0.5 stands for no protection
DEFAULT_PROTECT = 0.33
INDEX_SEARCHES = ("exact", "nprobe")
UNVOICED_F0 = ("zero", "interpolated")
PRECISIONS = ("auto", "built", "fp32", "fp16", "bf16")  # of an engine's arithmetic
F0_FILLS = ("interpolate", "hold")
RESAMPLERS = ("long", "short")
FORMANT = (-12.0, 12.0)  # semitones; upstream trains its key shift up to 5
# Of streams; they stand here for programs that import no PyTorch.
BLOCK_MS = (1.0, 10_000.0)
LOOKAHEAD_MS = (0.0, 10_000.0)
GAIN = (1e-3, 1e3)
MINUTES = (0.0, 1e6)
PIECE_S = (1.0, 3600.0)


def whole_number(name: str, value, low: int | None = None, high: int | None = None) -> int:
    """``value`` as an int within low … high. Raises ConfigError."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
        if (low is None or number >= low) and (high is None or number <= high):
            return number
    raise ConfigError(f"{name} is {shown(value)}", f"use a whole number{_within(low, high)}")


def number(name: str, value, low: float | None = None, high: float | None = None, *, above=False, below=False) -> float:
    """``value`` as a finite float within low … high; ``above``, ``below``: that end itself is excluded.

    Raises ConfigError.
    """
    result = as_float(value)
    inside = math.isfinite(result)
    inside = inside and (low is None or result > low or (result == low and not above))
    inside = inside and (high is None or result < high or (result == high and not below))
    if not inside:
        ends = f", {low:g} itself excluded" if above else f", {high:g} itself excluded" if below else ""
        raise ConfigError(f"{name} is {shown(value)}", f"use a number{_within(low, high)}{ends}")
    return result


def as_float(value) -> float:
    """A real number as a float; NaN for everything else."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def flag(name: str, value) -> bool:
    """``value`` as a bool. Raises ConfigError."""
    if isinstance(value, bool) or (str(getattr(value, "dtype", "")) == "bool" and getattr(value, "ndim", 1) == 0):
        return bool(value)  # numpy's too
    raise ConfigError(f"{name} is {shown(value)}", "use True or False")


def one_of(name: str, value, choices: Iterable[str]) -> str:
    """``value`` if it is one of ``choices``. Raises ConfigError."""
    choices = tuple(choices)
    if isinstance(value, str) and value in choices:
        return value
    raise ConfigError(f"{name} is {shown(value)}", f"use one of {', '.join(choices)}")


def text(name: str, value) -> str:
    """``value`` if it is text. Raises ConfigError."""
    if isinstance(value, str):
        return value
    raise ConfigError(f"{name} is {shown(value)}", "use a text (str)")


def path(name: str, value) -> Path:
    """``value``, text or a path, as a Path. Raises ConfigError."""
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if isinstance(text, str) and text and "\0" not in text:
        return Path(text)
    raise ConfigError(f"{name} is {shown(value)}", "use a path (str or pathlib.Path)")


def callback(name: str, value) -> Callable[..., Any]:
    """``value`` if it can be called. Raises ConfigError."""
    if callable(value):
        return value
    raise ConfigError(f"{name} is {shown(value)}", "use a function or None")


def optional(check: Callable[..., Checked], name: str, value, *limits, **options) -> Checked | None:
    """``check(name, value)``, or None where ``value`` is None."""
    return None if value is None else check(name, value, *limits, **options)


def several(check: Callable[..., Checked], name: str, values, *limits, **options) -> tuple[Checked, ...]:
    """``check(name, value)`` of each of ``values``, at least one. Raises ConfigError."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ConfigError(f"{name} is {shown(values)}", "use a list")
    results = tuple(check(name, value, *limits, **options) for value in values)
    if not results:
        raise ConfigError(f"{name} is empty", "name at least one")
    return results


def seed(value) -> int:
    """``value`` as a seed. Raises ConfigError."""
    return whole_number("seed", value, *SEED)


def rate_hz(value, name: str = "the sample rate") -> int:
    """``value`` as a sample rate. Raises ConfigError."""
    return whole_number(name, value, *RATE_HZ)


def transpose(value) -> float | str:
    """Semitones, or one of AUTO_TRANSPOSE. Raises ConfigError."""
    if isinstance(value, str) and value in AUTO_TRANSPOSE:
        return value
    try:
        return number("transpose", value, *SEMITONES)
    except ConfigError as error:
        raise ConfigError(error.message, 'use semitones from −60 to 60, "auto" or "octaves"') from None


def f0_range(value) -> tuple[float, float]:
    """(lowest, highest) pitch in Hz. Raises ConfigError."""
    try:
        low, high = several(number, "f0_range", value, *F0_HZ)
        if low < high:
            return low, high
    except (ConfigError, ValueError):  # more or fewer than two
        pass
    raise ConfigError(
        f"f0_range is {shown(value)}",
        f"use the lowest and the highest pitch in Hz, from {F0_HZ[0]:g} to {F0_HZ[1]:g}, such as (60, 1400)",
    )


def _within(low, high) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f" of at least {_plain(low)}"
    return f" of at most {_plain(high)}" if low is None else f" from {_plain(low)} to {_plain(high)}"


def _plain(limit) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)
