"""What the passes work on: one description of the engine that is being made, filled from pass to pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from fastsvc.checkpoints import Checkpoint, Given
from fastsvc.config import AcousticConfig


@dataclass
class Plan:
    """Inputs first, then what each pass adds (named after the pass)."""

    checkpoint: Path
    out: Path
    given: Given = Given()
    vocoder_path: Path | None = None
    content_path: Path | None = None
    steps: tuple[int, ...] | None = None
    depth: int | None = None
    speaker_f0: str | None = None
    precision: str = "auto"
    target: str = "auto"
    vocoder_backend: str = "auto"  # one of fastsvc.config.VOCODER_BACKENDS
    force: bool = False
    say: Callable[[str], None] = print

    # read
    acoustic: Checkpoint | None = None
    vocoder: Checkpoint | None = None
    content: Checkpoint | None = None
    # check
    acoustic_config: AcousticConfig | None = None
    sampler: str = "auto"  # then one of model.sampler.methods
    schedules: dict[int, list[float]] = field(default_factory=dict)  # by number of steps: σ of each evaluation, …
    levels: list[float] = field(default_factory=list)  # every distinct σ that a schedule evaluates at
    speaker_f0_hz: tuple[float, ...] = ()
    # fold: the network with everything constant folded, still [out, in], float64
    folded: dict[str, Tensor] = field(default_factory=dict)
    # lower: the tensors of each file of the engine, as they will be stored
    files: dict[str, dict[str, Tensor] | bytes] = field(default_factory=dict)
    gpu_precision: str = "fp16"  # where --precision auto means another thing than on a CPU
    # target
    check: dict = field(default_factory=dict)
    # verify and measure
    verified: dict = field(default_factory=dict)
    measured: dict = field(default_factory=dict)
    cpu_backend: str = "torch"  # the vocoder's fastest on this processor
