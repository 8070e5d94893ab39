"""A task, the subject of the loop: it owns the networks, draws the batches and defines the losses."""

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
from fastsvc.training.resume import ResumePoint

Batch = dict[str, Any]
Loss = Callable[[Batch, int], tuple[Tensor, dict[str, Any]]]


@dataclass
class Turn:
    """One optimiser's turn within a step (an adversarial task has two).

    ``loss(batch, step) -> (scalar to minimise, figures to log)``. The turn trains the parameters of ``module`` that
    require a gradient at its first use; parameters of other turns are frozen meanwhile. The optimiser is kept by
    ``name``, so a turn may appear late (an adversarial phase), skip steps, or come several times in one step.
    """

    name: str
    module: nn.Module
    loss: Loss
    lr_scale: float = 1.0  # times the learning rate of the schedule


@dataclass
class Sample:
    """A sound or picture for TensorBoard: audio [samples] at rate_hz, and/or a mel [frames, bins]."""

    audio: Any = None
    rate_hz: int = 0
    mel: Any = None


@dataclass
class Verdict:
    """The result of a validation: warnings, and the reason to stop ("": continue)."""

    warnings: list[str] = field(default_factory=list)
    stop: str = ""


class Task:
    """Base class. Subclasses set ``kind`` and ``model`` and define ``batch`` and ``turns``.

    ``config`` is the YAML's ``task`` part; ``corpus`` is what ``open_corpus`` returned (None without a ``corpus:``
    line). The loop passes batch_size, batch_frames, seed and resume_point by name: a subclass with its own ``__init__``
    takes them as ``**loop`` and passes them on. ``resume_point``: the checkpoint of a resumed run.
    """

    kind = ""
    best: tuple[str, str] | None = None  # (figure of validate, "min" or "max"): the criterion of best.pt
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
        resume_point: ResumePoint | None = None,
    ):
        self.resume_point = resume_point
        self.config, self.corpus, self.device = config, corpus, torch.device(device)
        self.batch_size, self.batch_frames, self.seed = batch_size, batch_frames, seed
        self.extra: dict[str, nn.Module] = {}  # saved for resuming alone: discriminators, targets
        self.speakers: list[str] = []
        self.speaker_f0_hz: list[float] = []
        # Tensors with rows of singers: module ("model", or a key of extra) → name → how many blocks of singers it has.
        self.singer_rows: dict[str, dict[str, int]] = {}
        self.rows_without_songs: list[int] = []  # rows of singers without songs, which must not change
        self.notes: list[str] = []  # lines for the user before the first step
        self.progress = 0.0  # used share of the budget, set by the loop
        self.rate = 0.0  # learning rate of the schedule, set by the loop
        self.generator = torch.Generator(self.device)  # seeded by the loop for every (seed, step, rank)

    @classmethod
    def open_corpus(cls, path: str | Path):
        """The path in the YAML → the task's corpus. Raises ConfigError without songs to train or validate on."""
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
        """Names in the order of the per-singer rows."""
        return self.speakers

    def of_corpus(self) -> dict:
        """Facts of the corpus that must be the same in a resumed run; None: unknown."""
        return {"input_peak": getattr(self.corpus, "peak", None)}  # the level to which an engine brings its inputs

    @staticmethod
    def lasting(settings) -> dict:
        """The settings that a resumed run cannot change, besides the network's configuration."""
        return {}

    def agree(self, config, settings) -> None:
        """Raises CheckpointError where a resumed run's checkpoint has another configuration: before any work."""
        if self.resume_point is not None:
            self.resume_point.check(config, settings, self.lasting, self.of_corpus())

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
        """Warnings and a reason to stop from the figures of :meth:`validate`; called in the first process alone."""
        return Verdict()

    def samples(self, model: nn.Module) -> dict[str, Sample]:
        """Pictures and sounds for TensorBoard, with the EMA weights."""
        return {}

    def config_for_checkpoint(self) -> dict:
        """The ``model`` part of the checkpoint's config, from which ``self.model`` can be built."""
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


PAIRED = "paired"  # a student's method without a teacher
FAMILIES = {"source_filter": ("fastsvc.training.source_filter", "SourceFilterTask")}  # of vocoders, where not as above
FLOWS = {  # of a rectified flow: a teacher by its family, students by their teacher's
    "teacher": ("fastsvc.training.flow.teacher", "FlowTeacherTask"),
    "student": ("fastsvc.training.flow.tasks", "FlowStudentTask"),
    "dmo": ("fastsvc.training.flow.tasks", "FlowDmoTask"),
}
LIVE = {  # where `task` has future_frames
    "recogniser": ("fastsvc.training.live.content", "LiveContentTask"),
    "student": ("fastsvc.training.live.denoiser", "LiveStudentTask"),
    "vocoder": ("fastsvc.training.live.vocoder", "LiveVocoderTask"),
}


def task_class(kind: str, config: dict | None = None) -> type[Task]:
    """The class that trains checkpoints of this kind; ``config``, the YAML's ``task`` part, says the vocoder's or the
    teacher's family, and whether the network's future is short. Raises ConfigError for an unknown kind."""
    arguments.one_of("task", kind, TASKS)
    module, name = TASKS[kind]
    model = (config or {}).get("model")
    if "future_frames" in (config or {}) and kind in LIVE:
        module, name = LIVE[kind]
    elif kind == "vocoder" and isinstance(model, dict):
        module, name = FAMILIES.get(str(model.get("family")), TASKS[kind])
    elif kind == "student" and (config or {}).get("method") == PAIRED:
        module, name = "fastsvc.training.paired.task", "PairedTask"
    elif kind in FLOWS and _has_flow(kind, config or {}):
        module, name = FLOWS[kind]
    return getattr(importlib.import_module(module), name)


def _has_flow(kind: str, config: dict) -> bool:
    """Whether the teacher to be trained, or the teacher of a student, is a rectified flow."""
    if kind == "teacher":
        return isinstance(config.get("model"), dict)
    from fastsvc.training.flow.reading import is_flow

    teacher = config.get("teacher")
    return isinstance(teacher, str) and is_flow(teacher)
