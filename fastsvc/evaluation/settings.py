"""What an evaluation is made with."""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc import reading
from fastsvc.config import from_dict
from fastsvc.config.limits import STEPS
from fastsvc.config.plain import within


@dataclass(frozen=True)
class Settings:
    """What the YAML of `fastsvc evaluate -c` may hold; paths count from the current folder.

    teacher, recogniser, verifier: checkpoints, each optional (its rows or columns are left out). corpus: the prepared
    corpus of the training, for the targets' centroids; without it they are rendered by the choir. clips 0: no choir
    table. voices: the targets, all if empty. references: whether the true target and copy-synthesis have rows, too.
    """

    model: str = ""
    teacher: str | None = None
    recogniser: str | None = None
    verifier: str | None = None
    corpus: str | None = None
    clips: int = 40
    clip_seconds: float = 8.0
    teacher_steps: int = 50
    choir_seed: int = 0
    recordings: str | None = None
    voices: tuple[str, ...] = ()
    references: bool = True
    seed: int = 0

    def __post_init__(self):
        within("evaluation", self, clips=(0, 100_000), clip_seconds=(0.1, 600), teacher_steps=STEPS)
        within("evaluation", self, choir_seed=(0, 2**63 - 1), seed=(0, 2**63 - 1))


def read_settings(path) -> Settings:
    """A YAML file as :class:`Settings`. Raises ConfigError naming unknown keys and wrong types."""
    return from_dict(Settings, reading.yaml_file(path) or {}, str(path))
