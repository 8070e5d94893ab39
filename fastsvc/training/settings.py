"""The YAML of a training run, checked: unknown keys and wrong types are errors that name the key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fastsvc import reading
from fastsvc.config import from_dict
from fastsvc.config.limits import CROPS, FRAMES
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError

MOST_FRAMES = 2**26  # of a batch; at 80 bins their mels alone take 20 GB
STEPS = (1, 1_000_000_000)  # of a training, and of the intervals of logging, validation and saving


@dataclass(frozen=True)
class BatchSettings:
    size: int = 16  # per process
    frames: int = 128  # crop length, in frames of the corpus's mel

    def __post_init__(self):
        within("batch", self, size=CROPS, frames=FRAMES)
        if self.size * self.frames > MOST_FRAMES:
            raise ConfigError(f"batch: size × frames is {self.size * self.frames}, the most is {MOST_FRAMES}")


@dataclass(frozen=True)
class OptimSettings:
    """AdamW. ``cosine`` goes from lr to final_lr over the budget, ``step`` halves every half_every steps."""

    lr: float = 1e-4
    final_lr: float = 1e-6
    schedule: str = "cosine"  # cosine, step, constant
    warmup: int = 200  # steps
    half_every: int = 100000
    betas: tuple[float, ...] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip: float = 1.0  # largest gradient norm; 0: no clipping

    def __post_init__(self):
        if self.schedule not in ("cosine", "step", "constant"):
            raise ConfigError(f"optim: unknown schedule {self.schedule!r}", "use cosine, step or constant")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError("optim: betas must be two numbers from 0 to below 1")
        within("optim", self, lr=(1e-12, 10), final_lr=(0, 10), warmup=(0, STEPS[1]), half_every=STEPS)
        within("optim", self, weight_decay=(0, 100), clip=(0, 1e9))


@dataclass(frozen=True)
class TrainingSettings:
    """The YAML of a run. It ends when either budget, ``steps`` or ``minutes``, is used up; at least one is needed.

    The schedule follows the larger used share. Resuming is exact for a budget in steps.
    """

    out: str
    corpus: str | None = None
    seed: int = 0
    steps: int | None = None
    minutes: float | None = None
    batch: BatchSettings = field(default_factory=BatchSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    precision: str = "auto"  # auto, fp32, bf16, fp16
    ema: float = 0.999
    device: str = "auto"
    log_every: int = 20
    validate_every: int = 500
    save_every: int = 500
    task: dict = field(default_factory=dict)

    def __post_init__(self):
        if self.steps is None and self.minutes is None:
            raise ConfigError("training: neither steps nor minutes is given", "add `steps: 10000` or `minutes: 30`")
        if self.precision not in ("auto", "fp32", "bf16", "fp16"):
            raise ConfigError(f"training: unknown precision {self.precision!r}", "use auto, fp32, bf16 or fp16")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"training: ema is {self.ema}", "use a decay in 0 … 1, such as 0.999")
        within("training", self, seed=(0, 2**63 - 1), steps=STEPS, minutes=(1e-4, 1e7))
        within("training", self, log_every=STEPS, validate_every=STEPS, save_every=STEPS)


def parse(text: str, where: str) -> dict:
    """YAML text → dict, in which 1e-3 is a number. Raises ConfigError naming the line."""
    try:
        data = reading.parse_yaml(text, numbers=True)
    except ValueError as error:
        raise ConfigError(f"{where} is not valid YAML: {error}", "correct the line named") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: a mapping of settings is expected")
    return data


def read_settings(path: str | Path) -> TrainingSettings:
    """The settings in a YAML file. Raises ConfigError."""
    path = Path(path)
    if not path.exists():
        raise ConfigError(f"{path}: no such configuration", "`fastsvc train --print-config KIND` prints one")
    return from_dict(TrainingSettings, parse(reading.read_text(path), str(path)), where=path.name)
