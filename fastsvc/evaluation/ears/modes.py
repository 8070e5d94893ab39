"""Whether an evaluation asks the public judges: auto where they are installed."""

from __future__ import annotations

AUTO, ALWAYS, NEVER = MODES = ("auto", "always", "never")
