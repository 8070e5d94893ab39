"""What a user says about a checkpoint beside the file itself, for formats that do not hold all of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Given:
    """``config``: the YAML or JSON of the training run; ``era``: of CoMoSVC's code (checkpoints/era.py);
    ``speaker_vectors``: an .npz of name → embedding, for networks that take one in place of an id."""

    config: Path | None = None
    era: str | None = None
    speaker_vectors: Path | None = None

    @classmethod
    def of(cls, **values) -> Given:
        """Paths from strings; None stays None."""
        return cls(**{name: Path(v) if v is not None and name != "era" else v for name, v in values.items()})
