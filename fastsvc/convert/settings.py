"""The settings of a batch."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from fastsvc import arguments
from fastsvc.engine.request import Request
from fastsvc.errors import ConfigError

SUBTYPES = ("16", "24", "float")


@dataclass(frozen=True)
class ConversionSettings:
    """``request``: as for one recording, but with rate_out_hz None, as each recording has its own.

    ``name``: the speaker's, for reports. ``rate_hz`` of the results; None keeps each input's. ``subtype`` (16, 24,
    float) applies to the formats that have it; ``keep_channels`` False gives mono results. ``batch``: the most
    recordings that are synthesized together, where the engine gains by it. ``precision``: as the engine was opened
    with; results made with auto, whatever it chose, are the same request's.
    """

    request: Request
    name: str = ""
    rate_hz: int | None = None
    subtype: str | None = None
    keep_channels: bool = False
    overwrite: bool = False
    batch: int = 16
    precision: str = "auto"

    def __post_init__(self):
        """Raises ConfigError, before any recording is read. The engine checks what depends on it."""
        if not isinstance(self.request, Request):
            raise ConfigError(f"request is {arguments.shown(self.request)}", "give a fastsvc.engine.Request")
        if self.request.rate_out_hz is not None:
            raise ConfigError("the request of a batch has rate_out_hz", "give the rate of its results as rate_hz")
        arguments.optional(arguments.whole_number, "rate_hz", self.rate_hz, *arguments.RATE_HZ)
        arguments.optional(arguments.one_of, "subtype", self.subtype, SUBTYPES)
        arguments.flag("keep_channels", self.keep_channels)
        arguments.flag("overwrite", self.overwrite)
        arguments.whole_number("batch", self.batch, *arguments.BATCH)
        arguments.one_of("precision", self.precision, arguments.PRECISIONS)

    @property
    def voice(self) -> str:
        """The speaker's name, for people."""
        return self.name or str(self.request.speaker)

    def to_dict(self) -> dict:
        """All settings on one level, for reports."""
        values = asdict(self)
        values |= values.pop("request")
        del values["rate_out_hz"]
        return values
