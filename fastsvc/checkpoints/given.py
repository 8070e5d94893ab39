"""What a user says about a checkpoint beside the file itself, for formats that do not hold all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fastsvc import arguments

PATHS = ("config", "speaker_vectors")


@dataclass(frozen=True)
class Given:
    """``config``: the YAML or JSON of the training run; ``era``: of CoMoSVC's code (checkpoints/readers/era.py);
    ``speaker_vectors``: an .npz of name → embedding, for networks that take one in place of an id; ``look``: only to
    be looked at, so that a missing configuration is noted, and its sizes are read off the tensors; ``said`` collects
    notes of reading these files."""

    config: Path | None = None
    era: str | None = None
    speaker_vectors: Path | None = None
    look: bool = False
    said: list[str] = field(default_factory=list, compare=False)

    @classmethod
    def of(cls, **values) -> Given:
        """Paths from strings; None stays None. Raises ConfigError for what is no path."""
        found = {name: arguments.optional(arguments.path, name, values.get(name)) for name in PATHS}
        return cls(**{**values, **found})
