"""What the passes work on, in stages: each pass takes one and gives the next, so that its type says what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from fastsvc.checkpoints import Checkpoint, Given
from fastsvc.config import AcousticConfig, AnyVocoderConfig


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was asked for."""

    checkpoint: Path
    out: Path
    given: Given = Given()
    vocoder_path: Path | None = None
    content_path: Path | None = None
    steps: tuple[int, ...] | None = None
    sampler: str = "auto"
    depth: int | None = None
    speaker_f0: str | None = None
    precision: str = "auto"
    target: str = "auto"
    vocoder_backend: str = "auto"  # one of fastsvc.config.VOCODER_BACKENDS
    force: bool = False
    say: Callable[[str], None] = print

    def then(self, stage: type[Stage], **found) -> Stage:
        """The next stage: all that this one holds and the next one has a place for, and what was ``found``."""
        kept = {key.name: getattr(self, key.name) for key in fields(stage) if hasattr(self, key.name)}
        return stage(**{**kept, **found})


Stage = TypeVar("Stage", bound=Plan)


@dataclass(frozen=True, kw_only=True)
class Read(Plan):
    """The checkpoints, each of the right kind."""

    acoustic: Checkpoint[AcousticConfig]
    vocoder: Checkpoint[AnyVocoderConfig] | None = None
    content: Checkpoint | None = None  # of a recogniser or of HuBERT


@dataclass(frozen=True, kw_only=True)
class Checked(Read):
    """They belong together. ``sampler`` is one of model.sampler.methods, ``precision`` fp32, fp16 or bf16."""

    acoustic_config: AcousticConfig
    schedules: dict[int, list[float]]  # by number of steps: σ of each evaluation, …
    levels: list[float]  # every distinct σ that a schedule evaluates at
    gpu_precision: str  # where --precision auto means another thing than on a CPU
    speaker_f0_hz: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Folded(Checked):
    """The network with everything constant folded, still [out, in], float64."""

    folded: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Lowered(Checked):
    """The engine's files by their names, as they will be stored: tensors, and the content of the others."""

    tensors: dict[str, dict[str, Tensor]]
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verified(Lowered):
    """Relative RMS errors by part."""

    verified: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Measured(Verified):
    """Seconds by part; the vocoder's fastest backend on this processor."""

    measured: dict = field(default_factory=dict)
    cpu_backend: str = "torch"


@dataclass(frozen=True, kw_only=True)
class Targeted(Measured):
    """What the stored tensors give on a small input, for GPUs to check themselves by."""

    check: dict
