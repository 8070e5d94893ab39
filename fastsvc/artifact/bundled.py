"""The voices that lie in the package."""

from __future__ import annotations

from pathlib import Path

VOICES = Path(__file__).parent.parent / "demo" / "voices.fsvc"
