"""What an evaluation is made with."""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc import arguments, reading
from fastsvc.config import from_dict
from fastsvc.evaluation.ears.modes import AUTO, MODES

CLIP_S = (0.0, 3600.0)


@dataclass(frozen=True)
class Settings:
    """What the YAML of `fastsvc evaluate -c` may hold; paths count from the current folder.

    teacher, recogniser, verifier: checkpoints, each optional (its rows or columns are left out). corpus: the prepared
    corpus of the training, for the targets' centroids; without it they are rendered by the choir. clips 0: no choir
    table. voices: the targets, all if empty. references: whether the true target and copy-synthesis have rows, too.
    ears: the public judges of docs/ears.md; auto: where they are installed, always or never.
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
    ears: str = AUTO
    seed: int = 0

    def __post_init__(self):
        arguments.whole("clips", self.clips, *arguments.CLIPS)
        arguments.number("clip_seconds", self.clip_seconds, *CLIP_S, above=True)
        arguments.whole("teacher_steps", self.teacher_steps, *arguments.STEPS)
        arguments.seed(self.seed)
        arguments.whole("choir_seed", self.choir_seed, *arguments.SEED)
        arguments.one_of("ears", self.ears, MODES)


def read_settings(path) -> Settings:
    """A YAML file as :class:`Settings`. Raises ConfigError naming unknown keys and wrong types."""
    return from_dict(Settings, reading.yaml_file(path) or {}, str(path))
