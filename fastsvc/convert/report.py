"""The outcome of each recording of a batch and the totals; as JSON for programs."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field

from fastsvc import files

DONE, FAILED, SKIPPED = "converted", "failed", "skipped"


@dataclass
class Entry:
    """One recording. ``status`` is converted, failed (``reason`` says why) or skipped (its result exists).

    ``traceback``, with versions and command, is set for faults of fastsvc alone, which are not the recording's.
    """

    input: str
    output: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    rate_hz: int = 0
    channels: int = 0
    output_rate_hz: int = 0
    speaker: str = ""
    transpose: float | str = 0
    gain: float = 1.0
    notes: list[str] = field(default_factory=list)
    timings_s: dict[str, float] = field(default_factory=dict)  # read, convert, write
    traceback: str = ""


@dataclass
class ConversionReport:
    """All entries in order. ``interrupted``: the user stopped the run before its end."""

    entries: list[Entry] = field(default_factory=list)
    planned: int = 0
    interrupted: bool = False

    def count(self, status: str) -> int:
        return sum(entry.status == status for entry in self.entries)

    @property
    def failures(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.status == FAILED]

    @property
    def seconds(self) -> float:
        """Seconds of audio converted."""
        return sum(entry.seconds for entry in self.entries if entry.status == DONE)

    @property
    def convert_s(self) -> float:
        """Seconds that the engine took for the converted recordings."""
        return sum(entry.timings_s.get("convert", 0.0) for entry in self.entries if entry.status == DONE)

    @property
    def real_time_factor(self) -> float:
        """Engine time by length of audio, 0 when nothing was converted."""
        return self.convert_s / self.seconds if self.seconds else 0.0

    @property
    def speed(self) -> float:
        """Length of audio by engine time, as people say "5 × real time"; 0 when nothing was converted."""
        return self.seconds / self.convert_s if self.convert_s else 0.0

    def to_dict(self, **head) -> dict:
        totals = {
            "planned": self.planned,
            **{status: self.count(status) for status in (DONE, FAILED, SKIPPED)},
            "seconds": round(self.seconds, 3),
            "convert_s": round(self.convert_s, 3),
            "real_time_factor": round(self.real_time_factor, 4),
            "interrupted": self.interrupted,
        }
        files = []
        for entry in self.entries:
            plain = asdict(entry)
            plain["timings_s"] = {name: round(value, 4) for name, value in entry.timings_s.items()}
            if not entry.traceback:
                del plain["traceback"]
            files.append(plain)
        return {"format": 1, **head, "totals": totals, "files": files}


def save(path: str | os.PathLike, data: dict) -> None:
    """Write ``data`` as JSON, whole or not at all. Raises OutputError."""
    files.write_json(path, data, remedy="choose another file for --report")
