"""The checkpoint that a run resumes from, and the check that today's configuration fits it.

Sizes, mel, features and encoder stay those of the checkpoint: its weights mean nothing with others. Rates, weights of
losses, batches and budgets come from today's configuration (docs/training.md, "Going on").
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastsvc.config import from_dict, to_dict
from fastsvc.config.plain import differences
from fastsvc.errors import CheckpointError, ConfigError, OutputError
from fastsvc.training import checkpoint

NAMES = ("last.pt", "best.pt")  # best.pt alone: a run that was killed before its first save
REMEDY = "continue with the configuration of that run, or choose another `out`"
# Keys of a network's configuration that follow the corpus's singers; their rows are moved by name.
FOLLOWS_SINGERS = ("condition.speakers", "singers", "speakers")


@dataclass
class ResumePoint:
    """A run's checkpoint, as :func:`find` read it. ``singers``: names in the order of its per-singer rows."""

    path: Path
    content: dict | None  # None once it is restored
    config: dict  # the network's, as a plain dict
    train: dict  # the run's settings, and facts of its corpus
    singers: list[str]
    singer_f0_hz: dict[str, float]
    stamp: tuple

    def unchanged(self) -> None:
        """Raises OutputError where another process has written the file since it was read."""
        if _stamp(self.path) != self.stamp:
            raise OutputError(f"{self.path} was written by another process meanwhile", "run the command again")

    def check_method(self, method: str) -> None:
        """Raises CheckpointError where the run is of a student by another method, which has other networks beside."""
        begun = (self.train.get("task") or {}).get("method", "cd")
        if begun != method:
            raise CheckpointError(f"{self.path} is of a student by method {begun}, not {method}", REMEDY)

    def check(self, config, settings, lasting: Callable, corpus: dict) -> None:
        """Raises CheckpointError with every difference in one line.

        ``config``: the network's; ``settings``: the task's, of which ``lasting(settings)`` gives the fixed part;
        ``corpus``: facts of the corpus that must not change (None: unknown).
        """
        try:
            stored_config = to_dict(from_dict(type(config), self.config, "config.model"))
        except ConfigError as error:
            raise CheckpointError(f"{self.path}: {error.message}", error.remedy) from None
        differing = [line for name, line in differences(stored_config, to_dict(config)) if name not in FOLLOWS_SINGERS]
        try:
            stored_values = lasting(from_dict(type(settings), self.train.get("task") or {}, "task"))
        except ConfigError:  # of another version, with keys that this one does not know
            stored_values = {}
        current_values = lasting(settings) if stored_values else {}
        compared = [name for name, value in corpus.items() if value is not None and self.train.get(name) is not None]
        stored_values |= {name: self.train[name] for name in compared}
        current_values |= {name: corpus[name] for name in compared}
        differing += [line for _, line in differences(stored_values, current_values)]
        if differing:
            raise CheckpointError(f"{self.path} does not fit this configuration: {'; '.join(differing)}", REMEDY)


def find(out: Path, kind: str) -> ResumePoint | None:
    """The checkpoint to resume from in ``out``, or None.

    Raises CheckpointError where it is damaged, or of another kind of training.
    """
    path = next((out / name for name in NAMES if (out / name).exists()), None)
    if path is None:
        return None
    stamp = _stamp(path)
    content = checkpoint.load(path, kind)
    singers = content.get("singers", content["speakers"])
    if not isinstance(singers, (list, tuple)) or not all(isinstance(name, str) for name in singers):
        raise CheckpointError(
            f"{path}: its list of singers is not a list of names", "copy or train the checkpoint again"
        )
    train = content["config"].get("train")
    return ResumePoint(
        path=path,
        content=content,
        config=content["config"]["model"],
        train=train if isinstance(train, dict) else {},
        singers=list(singers),
        singer_f0_hz=dict(zip(content["speakers"], map(float, content.get("speaker_f0_hz") or []))),
        stamp=stamp,
    )


def nothing_to_resume(out: Path) -> str:
    """The message when :func:`find` gives None, as after a run that was killed before its first save."""
    return f"nothing to resume in {out}: it starts anew" + ("" if out.exists() else " (there was no such folder)")


def _stamp(path: Path) -> tuple:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns
