"""What a run goes on from: the checkpoint in its folder, and whether the configuration of today fits it.

Sizes, the mel, the features and the encoder are the checkpoint's for good: its weights mean nothing with others. Rates,
weights of losses, batches and budgets are today's (docs/training.md, "Going on").
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
# Of a network's configuration: what follows the corpus's singers, and is moved by their names.
FOLLOWS_SINGERS = ("condition.speakers", "singers")


@dataclass
class Before:
    """A run's checkpoint, as :func:`find` read it. ``singers``: whom its per-singer rows belong to, in their order."""

    path: Path
    content: dict | None  # None once it is restored
    config: dict  # the network's, as a plain dict
    train: dict  # the run's settings, and what its corpus was
    singers: list[str]
    singer_f0_hz: dict[str, float]
    stamp: tuple

    def unchanged(self) -> None:
        """Raises OutputError where another process has written the file since it was read."""
        if _stamp(self.path) != self.stamp:
            raise OutputError(f"{self.path} was written by another process meanwhile", "run the command again")

    def check(self, config, settings, lasting: Callable, corpus: dict) -> None:
        """Raises CheckpointError with every difference in one line.

        ``config``: the network's; ``settings``: the task's, of which ``lasting(settings)`` gives what must stay;
        ``corpus``: what must stay of it (None: not known).
        """
        try:
            there = to_dict(from_dict(type(config), self.config, "config.model"))
        except ConfigError as error:
            raise CheckpointError(f"{self.path}: {error.message}", error.remedy) from None
        found = [line for name, line in differences(there, to_dict(config)) if name not in FOLLOWS_SINGERS]
        try:
            then = lasting(from_dict(type(settings), self.train.get("task") or {}, "task"))
        except ConfigError:  # of another version, whose keys are not known any more
            then = {}
        now = lasting(settings) if then else {}
        both = [name for name, value in corpus.items() if value is not None and self.train.get(name) is not None]
        then |= {name: self.train[name] for name in both}
        now |= {name: corpus[name] for name in both}
        found += [line for _, line in differences(then, now)]
        if found:
            raise CheckpointError(f"{self.path} does not fit this configuration: {'; '.join(found)}", REMEDY)


def find(out: Path, kind: str) -> Before | None:
    """The checkpoint that a run in ``out`` goes on from; None where there is none.

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
    return Before(
        path=path,
        content=content,
        config=content["config"]["model"],
        train=train if isinstance(train, dict) else {},
        singers=list(singers),
        singer_f0_hz=dict(zip(content["speakers"], map(float, content.get("speaker_f0_hz") or []))),
        stamp=stamp,
    )


def anew(out: Path) -> str:
    """What is said where :func:`find` found nothing: a run that was killed before its first save has nothing, too."""
    return f"nothing to resume in {out}: it starts anew" + ("" if out.exists() else " (there was no such folder)")


def _stamp(path: Path) -> tuple:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns
