"""How a batch is converted."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from fastsvc import arguments
from fastsvc.engine.request import Request
from fastsvc.errors import ConfigError

SUBTYPES = ("16", "24", "float")


@dataclass(frozen=True)
class ConversionSettings:
    """``request``: as for one recording; its rate_out_hz is each recording's, so it is None here.

    ``name`` is that of the speaker, for reports. ``rate_hz`` of the results: None keeps each input's. ``subtype`` (16,
    24, float) holds for the formats that have it; ``keep_channels`` False gives mono results. ``batch``: most
    recordings that are sung together, where the engine gains by it.
    """

    request: Request
    name: str = ""
    rate_hz: int | None = None
    subtype: str | None = None
    keep_channels: bool = False
    overwrite: bool = False
    batch: int = 16

    def __post_init__(self):
        """Raises ConfigError, before any recording is read. What depends on the engine is asked there."""
        if not isinstance(self.request, Request):
            raise ConfigError(f"request is {arguments.shown(self.request)}", "give a fastsvc.engine.Request")
        if self.request.rate_out_hz is not None:
            raise ConfigError("the request of a batch has rate_out_hz", "give the rate of its results as rate_hz")
        arguments.optional(arguments.whole, "rate_hz", self.rate_hz, *arguments.RATE_HZ)
        arguments.optional(arguments.one_of, "subtype", self.subtype, SUBTYPES)
        arguments.flag("keep_channels", self.keep_channels)
        arguments.flag("overwrite", self.overwrite)
        arguments.whole("batch", self.batch, *arguments.BATCH)

    @property
    def voice(self) -> str:
        """The speaker's name, for people."""
        return self.name or str(self.request.speaker)

    def to_dict(self) -> dict:
        """All of it on one level, for reports."""
        asked = asdict(self)
        asked |= asked.pop("request")
        del asked["rate_out_hz"]
        return asked
