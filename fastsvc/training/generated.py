"""Mels as a teacher or student makes them, for listeners to train on beside real ones.

A listener that never heard a generated mel can be pleased by errors that only networks make. The makings are
reconstructions: each singer's own phrases, so that phones, singer and f0 are what the corpus says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastsvc.config import MelConfig, to_dict
from fastsvc.config.limits import STEPS
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError
from fastsvc.training import checkpoint
from fastsvc.training.acoustic import AcousticTask

PREFIX = "made_"


@dataclass(frozen=True)
class GeneratedSettings:
    """Part of a listener's YAML. Without a checkpoint all mels are real."""

    checkpoint: str = ""  # a teacher, student or dmo of this corpus
    share: float = 0.5  # of each batch
    steps: int = 1

    def __post_init__(self):
        within("task.generated", self, steps=STEPS)
        if not 0 <= self.share < 1:
            raise ConfigError(f"task.generated: share is {self.share:g}, outside 0 … 1, without 1")


class Maker(AcousticTask):
    """Draws conditions in :meth:`draw` (in the background) and makes their mels in :meth:`mel` (on the device)."""

    kind = "listener"

    def __init__(self, settings: GeneratedSettings, corpus, device, mel: MelConfig):
        super().__init__({}, corpus, device)
        if to_dict(mel) != to_dict(corpus.mel):
            raise ConfigError(
                "task.generated: mels can be made only for a listener of the corpus's mel",
                "set task.domain: corpus for a recogniser; omit task.model.mel for others",
            )
        self.settings = settings
        content = checkpoint.load(settings.checkpoint, ("student", "teacher", "dmo"))
        self.choose_speakers(content, settings.checkpoint)
        self.model = self.load_acoustic(content, settings.checkpoint)
        self.method = "heun" if content["kind"] == "teacher" else "consistency"
        self.numbers = torch.tensor([-1 if number is None else number for number in self.singer_ids])

    def count(self, size: int) -> int:
        """How many of a batch are made."""
        return min(round(self.settings.share * size), size - 1)

    def draw(self, rng: np.random.Generator, size: int, frames: int, split: str = "train") -> dict[str, Tensor]:
        """Conditions and labels of ``size`` crops, under names that begin with ``made_``.

        ``made_singer`` is the corpus's number of the singer.
        """
        crop = self.crops(split, rng, size, frames, labels=True)
        crop["row"] = crop.pop("singer")
        crop["singer"] = self.numbers[crop["row"]]
        return {PREFIX + name: value for name, value in crop.items()}

    @torch.no_grad()
    def mel(self, batch: dict, generator: torch.Generator) -> Tensor:
        """Log-mel [B, T, M] of what :meth:`draw` gave; silence where a crop is padded."""
        own = {name.removeprefix(PREFIX): value for name, value in batch.items() if name.startswith(PREFIX)}
        cond = self.condition(self.model, own, own["row"])

        def noise(_: int) -> Tensor:
            return torch.randn(own["mel"].shape, generator=generator, device=own["mel"].device)

        made = self.model.sample(cond, self.settings.steps, noise, self.method)
        return torch.where(own["valid"][..., None] > 0, made, own["mel"])


def maker_of(settings: GeneratedSettings, corpus, device, mel: MelConfig) -> Maker | None:
    """None where nothing is to be made."""
    return Maker(settings, corpus, device, mel) if settings.checkpoint and settings.share else None
