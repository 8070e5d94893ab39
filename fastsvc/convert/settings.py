"""How a batch is converted."""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc import arguments
from fastsvc.config import F0_METHODS

SUBTYPES = ("16", "24", "float")


@dataclass(frozen=True)
class Settings:
    """How to convert. ``rate_hz`` None keeps each input's rate; ``keep_channels`` False gives mono results.

    The rest is as in :meth:`fastsvc.engine.Engine.convert`; ``name`` is that of the speaker, for
    reports; ``subtype`` (16, 24, float) holds for the formats that have it; ``batch``: most recordings that are
    sung together, where the engine gains by it.
    """

    speaker: int | str | dict[str, float]
    name: str = ""
    steps: int | None = None
    transpose: float | str = 0
    formant: float = 0.0
    seed: int = 0
    f0_method: str | None = None
    f0_weights: str | None = None
    f0_range: tuple[float, float] | None = None
    rate_hz: int | None = None
    subtype: str | None = None
    keep_channels: bool = False
    normalise: bool | None = None
    high_pass: bool = True
    rms_mix_rate: float = arguments.DEFAULT_RMS_MIX_RATE
    overwrite: bool = False
    batch: int = 16

    def __post_init__(self):
        """Raises ConfigError, before any recording is read. What depends on the engine is asked there."""
        arguments.optional(arguments.whole, "steps", self.steps, *arguments.STEPS)
        arguments.transpose(self.transpose)
        arguments.number("formant", self.formant, *arguments.FORMANT)
        arguments.seed(self.seed)
        arguments.optional(arguments.one_of, "f0 method", self.f0_method, F0_METHODS)
        arguments.optional(arguments.path, "f0_weights", self.f0_weights)
        if self.f0_range is not None:
            arguments.f0_range(self.f0_range)
        arguments.optional(arguments.whole, "rate_hz", self.rate_hz, *arguments.RATE_HZ)
        arguments.optional(arguments.one_of, "subtype", self.subtype, SUBTYPES)
        arguments.optional(arguments.flag, "normalise", self.normalise)
        arguments.flag("high_pass", self.high_pass)
        arguments.number("rms_mix_rate", self.rms_mix_rate, *arguments.RMS_MIX_RATE)
        arguments.flag("keep_channels", self.keep_channels)
        arguments.flag("overwrite", self.overwrite)
        arguments.whole("batch", self.batch, *arguments.BATCH)
