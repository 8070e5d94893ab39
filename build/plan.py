"""The plan of a build, in stages. Each pass takes one stage and returns the next, so its type says what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from fastsvc.checkpoints import Checkpoint, ReadOptions
from fastsvc.checkpoints.files.faiss_index import FaissIndex
from fastsvc.config import AcousticConfig, AnyAcousticConfig, AnyVocoderConfig, DdspConfig, RvcConfig


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """The user's options."""

    checkpoint: Path
    out: Path
    read_options: ReadOptions = ReadOptions()
    vocoder_path: Path | None = None
    content_path: Path | None = None
    index_path: Path | None = None  # of RVC's voices; None: the one found with the voice; "none": no index
    steps: tuple[int, ...] | None = None
    sampler: str = "auto"
    depth: int | None = None
    speaker_f0: str | None = None
    precision: str = "auto"
    store: str = "float"  # one of fastsvc.config.STORES
    target: str = "auto"
    vocoder_backend: str = "auto"  # one of fastsvc.config.VOCODER_BACKENDS
    force: bool = False
    say: Callable[[str], None] = print
    on_read: Callable[[Checkpoint], None] = lambda checkpoint: None  # gets the acoustic one, before the others are read

    def then(self, stage: type[Stage], **values) -> Stage:
        """The next stage: the fields of this one that the next one has too, and new ``values``."""
        shared = {key.name: getattr(self, key.name) for key in fields(stage) if hasattr(self, key.name)}
        return stage(**{**shared, **values})


Stage = TypeVar("Stage", bound=BuildPlan)


@dataclass(frozen=True, kw_only=True)
class ReadPlan(BuildPlan):
    """The checkpoints, each of the right kind."""

    acoustic: Checkpoint[AnyAcousticConfig]
    vocoder: Checkpoint[AnyVocoderConfig] | None = None
    content: Checkpoint | None = None  # of a recogniser or of HuBERT
    index: FaissIndex | None = None


@dataclass(frozen=True, kw_only=True)
class CheckedPlan(ReadPlan):
    """The checkpoints fit each other. ``sampler`` is one of model.sampler.methods, or RVC's own; ``precision`` fp32,
    fp16 or bf16."""

    acoustic_config: AnyAcousticConfig
    schedules: dict[int, list[float]]  # by number of steps: σ of each evaluation, …
    levels: list[float]  # every distinct σ that a schedule evaluates at
    gpu_precision: str  # differs from ``precision`` where --precision is auto
    speaker_f0_hz: tuple[float, ...] = ()

    @property
    def diffusion(self) -> AcousticConfig:
        """``acoustic_config`` of a diffusion model."""
        assert isinstance(self.acoustic_config, AcousticConfig)
        return self.acoustic_config

    @property
    def rvc(self) -> RvcConfig:
        """``acoustic_config`` of a voice of RVC."""
        assert isinstance(self.acoustic_config, RvcConfig)
        return self.acoustic_config

    @property
    def ddsp(self) -> DdspConfig:
        """``acoustic_config`` of a voice of DDSP-SVC 6."""
        assert isinstance(self.acoustic_config, DdspConfig)
        return self.acoustic_config


@dataclass(frozen=True, kw_only=True)
class FoldedPlan(CheckedPlan):
    """The network with everything constant folded, still [out, in], float64."""

    folded: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class LoweredPlan(CheckedPlan):
    """The engine's files by name: tensors as they will be read again, and the content of other files."""

    tensors: dict[str, dict[str, Tensor]]
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VerifiedPlan(LoweredPlan):
    """Relative RMS errors by part."""

    verified: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class MeasuredPlan(VerifiedPlan):
    """Seconds by part; the vocoder's fastest backend on this processor."""

    measured: dict = field(default_factory=dict)
    cpu_backend: str = "torch"


@dataclass(frozen=True, kw_only=True)
class TargetedPlan(MeasuredPlan):
    """Outputs of the stored tensors on a small input, against which a GPU checks itself."""

    check: dict
