"""Options for reading a checkpoint whose format does not hold everything that building needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fastsvc import arguments

PATHS = ("config", "speaker_vectors")


@dataclass(frozen=True)
class ReadOptions:
    """The user's options for one checkpoint file.

    ``config``: the YAML or JSON file of the training run. ``era`` of CoMoSVC's code (checkpoints/readers/eras.py).
    ``speaker_vectors``: an .npz of name → embedding, for networks that take an embedding in place of a speaker id.
    ``inspect_only``: nothing is built, so a missing configuration is noted and sizes are read off the tensors.
    ``notes`` collects messages while these files are read.
    """

    config: Path | None = None
    era: str | None = None
    speaker_vectors: Path | None = None
    inspect_only: bool = False
    notes: list[str] = field(default_factory=list, compare=False)

    @classmethod
    def of(cls, **values) -> ReadOptions:
        """Paths from strings; None stays None. Raises ConfigError for a value that is not a path."""
        paths = {name: arguments.optional(arguments.path, name, values.get(name)) for name in PATHS}
        return cls(**{**values, **paths})
