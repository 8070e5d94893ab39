"""The settings of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc import arguments, reading
from fastsvc.config import from_dict
from fastsvc.evaluation.ears.modes import AUTO, MODES

CLIP_S = (0.0, 3600.0)


@dataclass(frozen=True)
class EvaluationSettings:
    """The YAML of `fastsvc evaluate -c`; paths are relative to the current folder.

    teacher, recogniser, verifier: checkpoints, each optional (its rows or columns are left out). engines: further ones
    with the same voices, at the same clips, whose rows come before those of ``model``; the last of them is what the
    others are compared with. corpus: the prepared
    corpus of the training, for the targets' centroids; without it the choir renders audio for them. clips 0: no choir
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
    choir_dry: bool = False
    recordings: str | None = None
    voices: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    references: bool = True
    ears: str = AUTO
    seed: int = 0

    def __post_init__(self):
        arguments.whole_number("clips", self.clips, *arguments.CLIPS)
        arguments.number("clip_seconds", self.clip_seconds, *CLIP_S, above=True)
        arguments.whole_number("teacher_steps", self.teacher_steps, *arguments.STEPS)
        arguments.seed(self.seed)
        arguments.whole_number("choir_seed", self.choir_seed, *arguments.SEED)
        arguments.flag("choir_dry", self.choir_dry)
        arguments.one_of("ears", self.ears, MODES)


def read_settings(path) -> EvaluationSettings:
    """A YAML file as :class:`EvaluationSettings`. Raises ConfigError naming unknown keys and wrong types."""
    return from_dict(EvaluationSettings, reading.read_yaml(path) or {}, str(path))
