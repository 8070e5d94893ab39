"""What the loop trains: a task owns its networks, draws its batches and says what is minimised."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc import arguments
from fastsvc.errors import ConfigError
from fastsvc.training.before import Before

Batch = dict[str, Any]
Loss = Callable[[Batch, int], tuple[Tensor, dict[str, Any]]]


@dataclass
class Turn:
    """One optimiser's turn within a step (an adversarial task has two).

    ``loss(batch, step) -> (scalar to minimise, figures to log)``. Only the parameters of ``module`` that require a
    gradient when the turn is first met are trained in it; those of other turns are frozen meanwhile. The optimiser
    is kept by ``name``, so a turn may appear late (an adversarial phase), be left out of some steps, or come several
    times in one.
    """

    name: str
    module: nn.Module
    loss: Loss
    lr_scale: float = 1.0  # times the learning rate of the schedule


@dataclass
class Sample:
    """Something to hear or see in TensorBoard: audio [samples] at rate_hz, and/or a mel [frames, bins]."""

    audio: Any = None
    rate_hz: int = 0
    mel: Any = None


@dataclass
class Verdict:
    """What a validation says of the run: lines to warn with, and why it should stop ("": it need not)."""

    warnings: list[str] = field(default_factory=list)
    stop: str = ""


class Task:
    """Base class. Subclasses set ``kind`` and ``model`` and define ``batch`` and ``turns``.

    ``config`` is the YAML's ``task`` part; ``corpus`` is what ``open_corpus`` returned (None without a ``corpus:``
    line). The loop passes batch_size, batch_frames, seed and before by name: a subclass with an ``__init__`` of its own
    takes them as ``**loop`` and hands them on. ``before``: the checkpoint that the run goes on from.
    """

    kind = ""
    best: tuple[str, str] | None = None  # (a figure of validate, "min" or "max"): what best.pt is chosen by
    fp16 = True  # whether it may train in float16, with scaled losses
    model: nn.Module

    def __init__(
        self,
        config: dict,
        corpus,
        device,
        *,
        batch_size: int = 8,
        batch_frames: int = 128,
        seed: int = 0,
        before: Before | None = None,
    ):
        self.before = before
        self.config, self.corpus, self.device = config, corpus, torch.device(device)
        self.batch_size, self.batch_frames, self.seed = batch_size, batch_frames, seed
        self.extra: dict[str, nn.Module] = {}  # saved for resuming, not for use: discriminators, targets
        self.speakers: list[str] = []
        self.speaker_f0_hz: list[float] = []
        # Tensors with rows of singers: module ("model", or a key of extra) → name → how many blocks of singers it has.
        self.singer_rows: dict[str, dict[str, int]] = {}
        self.gone: list[int] = []  # rows of singers without songs, which stay as they are
        self.notes: list[str] = []  # lines for the user before the first step
        self.progress = 0.0  # share of the budget that is used up, kept by the loop
        self.rate = 0.0  # learning rate of the schedule, kept by the loop
        self.generator = torch.Generator(self.device)  # seeded by the loop for every (seed, step, rank)

    @classmethod
    def open_corpus(cls, path: str | Path):
        """Path of the YAML → what the task calls its corpus."""
        from fastsvc.data.corpus import Corpus

        corpus = Corpus(path)
        for split, why in (("train", "to train on"), ("valid", "for validation")):
            if not corpus.of(split):
                raise ConfigError(
                    f"the corpus {path} has no song {why}", "prepare more songs: each singer needs two or more"
                )
        return corpus

    @property
    def singers(self) -> list[str]:
        """Whose the per-singer rows are, in their order."""
        return self.speakers

    def of_corpus(self) -> dict:
        """What a run that goes on must find in its corpus again, as far as it is known."""
        return {"input_peak": getattr(self.corpus, "peak", None)}  # what an engine brings its inputs to

    @staticmethod
    def lasting(settings) -> dict:
        """The settings that a run which goes on cannot change, besides the network's configuration."""
        return {}

    def agree(self, config, settings) -> None:
        """Raises CheckpointError where the run goes on from a checkpoint of other sizes: before any work."""
        if self.before is not None:
            self.before.check(config, settings, self.lasting, self.of_corpus())

    def batch(self, rng: np.random.Generator) -> Batch:
        """Arrays or CPU tensors for one step, from ``rng`` alone (it runs in a background thread, and a resumed
        run draws the same). The loop moves them to the device."""
        raise NotImplementedError

    def turns(self, step: int) -> list[Turn]:
        """The turns of this step, in order. Noise inside a loss comes from ``self.generator``."""
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Called once after the optimisers and before the sampling EMA."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Figures on held-out data, with the EMA weights (eval mode, no gradient, no autocast)."""
        return {}

    def verdict(self, figures: dict[str, float]) -> Verdict:
        """What to make of the figures of :meth:`validate`; called once after it, in the first process alone."""
        return Verdict()

    def samples(self, model: nn.Module) -> dict[str, Sample]:
        """Pictures and sounds for TensorBoard, with the EMA weights."""
        return {}

    def config_for_checkpoint(self) -> dict:
        """The ``model`` part of the checkpoint's config: what rebuilds ``self.model``."""
        raise NotImplementedError

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal draws of this step, shaped as ``like``."""
        return torch.randn(like.shape, generator=self.generator, device=self.device)


TASKS = {
    "recogniser": ("fastsvc.training.recogniser", "RecogniserTask"),
    "singer": ("fastsvc.training.singer", "SingerTask"),
    "pitch": ("fastsvc.training.pitch", "PitchTask"),
    "vocoder": ("fastsvc.training.vocoder", "VocoderTask"),
    "teacher": ("fastsvc.training.teacher", "TeacherTask"),
    "student": ("fastsvc.training.consistency", "StudentTask"),
    "dmo": ("fastsvc.training.dmo", "DmoTask"),
}


FAMILIES = {"source_filter": ("fastsvc.training.source_filter", "SourceFilterTask")}  # of vocoders, where not as above


def task_class(kind: str, config: dict | None = None) -> type[Task]:
    """The class that trains checkpoints of this kind; ``config``, the YAML's ``task`` part, says the vocoder's family.
    Raises ConfigError for an unknown kind."""
    arguments.one_of("task", kind, TASKS)
    model = (config or {}).get("model")
    family = model.get("family") if kind == "vocoder" and isinstance(model, dict) else None
    module, name = FAMILIES.get(str(family), TASKS[kind])
    return getattr(importlib.import_module(module), name)
