"""The budget of a voice: its words, and what its training gets of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastsvc.errors import ConfigError

OVERNIGHT = 8 * 60.0
LEAST, MOST = 1.0, 14 * 24 * 60.0  # minutes
_WORD = re.compile(r"(\d+(?:\.\d+)?)\s*(min|m|h)")
_MINUTES = {"min": 1.0, "m": 1.0, "h": 60.0}


def minutes_of(text: str) -> float:
    """30min, 2h, 1.5h or overnight (8 h) → minutes. Raises ConfigError."""
    match = _WORD.fullmatch(text.strip().lower())
    if text.strip().lower() == "overnight":
        minutes = OVERNIGHT
    else:
        minutes = float(match[1]) * _MINUTES[match[2]] if match else 0.0
    if not LEAST <= minutes <= MOST:
        raise ConfigError(
            f"--budget {text!r} is not a time from {LEAST:g} min to {MOST / 1440:g} days", "use 30min, 2h or overnight"
        )
    return minutes


def shown(minutes: float) -> str:
    """0.4 → 24 s, 30 → 30 min, 480 → 8.0 h."""
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


@dataclass(frozen=True)
class Estimate:
    """Expected minutes of the stages before and after the training."""

    prepare: float
    build: float

    def training(self, budget: float, used: float = 0.0) -> float:
        """Minutes of the training; ``used``: minutes that are over already, instead of ``prepare``.

        At least half of the budget is for training, even if it is then exceeded.
        """
        return max(0.5 * budget, budget - (used or self.prepare) - self.build)
