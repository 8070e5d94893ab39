"""The YAML of a training run, checked: unknown keys and wrong types are errors that name the key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc.config import from_dict
from fastsvc.errors import ConfigError


@dataclass(frozen=True)
class BatchSettings:
    size: int = 16  # per process
    frames: int = 128  # crop length, in frames of the corpus's mel


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
        if len(self.betas) != 2 or self.lr <= 0 or self.half_every < 1:
            raise ConfigError("optim: lr and half_every must be positive, and betas two numbers")


@dataclass(frozen=True)
class Settings:
    """A run ends when either budget, ``steps`` or ``minutes``, is used up; at least one is needed.

    The schedule follows the larger used share. Exact resuming is defined for a budget in steps.
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
        if not (self.steps or self.minutes):
            raise ConfigError("training: neither steps nor minutes is given", "add `steps: 10000` or `minutes: 30`")
        if self.precision not in ("auto", "fp32", "bf16", "fp16"):
            raise ConfigError(f"training: unknown precision {self.precision!r}", "use auto, fp32, bf16 or fp16")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"training: ema is {self.ema}", "use a decay in 0 … 1, such as 0.999")
        if min(self.log_every, self.validate_every, self.save_every, self.batch.size, self.batch.frames) < 1:
            raise ConfigError("training: intervals and batch sizes must be at least 1")


def parse(text: str, where: str) -> dict:
    """YAML text → dict. Raises ConfigError naming the line."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    # YAML 1.1 reads 1e-3 (no dot) as a string; here it is a number.
    Loader.yaml_implicit_resolvers = dict(yaml.SafeLoader.yaml_implicit_resolvers)
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
    )
    try:
        data = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {error}", "correct the line named") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: a mapping of settings is expected")
    return data


def read(path: str | Path) -> Settings:
    """The settings in a YAML file. Raises ConfigError."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"there is no configuration {path}", "see configs/demo for working ones")
    return from_dict(Settings, parse(path.read_text(), str(path)), where=path.name)
