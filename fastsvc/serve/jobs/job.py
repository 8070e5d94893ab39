"""One job: a recording to convert, or a voice to build."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone

CONVERT, BUILD = "convert", "build"
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
OVER = frozenset({DONE, FAILED, CANCELLED})
LOG_LINES = 500  # of a build that are kept: the first and the last
_PASSING = frozenset({"stage", "progress"})  # not kept


def new_id() -> str:
    """128 bits that nobody guesses: who knows a job's id may see the job."""
    return secrets.token_hex(16)


@dataclass
class Job:
    """``created``, ``started``, ``finished``: seconds since 1970. ``seconds``: of the recording.

    ``source``: the recording's file in the job's folder; ``pictures``: whether these are wanted. ``call``,
    ``arguments``: of a build (fastsvc/serve/workers/__init__.py). ``attempts``: how often it was begun; ``alone``: it
    is not grouped, since a group with it ended its worker. ``bytes``: of the job's folder.
    """

    id: str
    batch: str
    kind: str
    name: str
    engine: str = ""
    engine_name: str = ""
    speaker_name: str = ""
    options: dict = field(default_factory=dict)
    state: str = QUEUED
    created: float = field(default_factory=time.time)
    started: float | None = None
    finished: float | None = None
    seconds: float | None = None
    source: str = ""
    pictures: bool = True
    call: str = ""
    arguments: dict = field(default_factory=dict)
    attempts: int = 0
    alone: bool = False
    bytes: int = 0
    notes: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    error: dict | None = None
    result: dict | None = None  # "file", "name", "bytes", "rate_hz", "samples"
    stage: str = ""
    progress: float = 0.0

    @property
    def over(self) -> bool:
        return self.state in OVER

    def add_line(self, line: str) -> None:
        """Add a line to the log; of a very long log the middle is left out."""
        self.log.append(line[:1000])
        if len(self.log) > LOG_LINES:
            del self.log[LOG_LINES // 2]

    def to_json(self) -> str:
        values = asdict(self)
        return json.dumps({name: value for name, value in values.items() if name not in _PASSING})

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job; keys that another version of the program wrote are left out."""
        values, names = json.loads(text), {key.name for key in fields(cls)}
        job = cls(**{name: value for name, value in values.items() if name in names})
        job.progress = 1.0 if job.state == DONE else 0.0
        return job

    def public(self, place: int | None, keep_s: float) -> dict:
        """The job as clients see it; ``place``: in the queue, from 1."""
        result = None
        if self.result is not None and self.state == DONE:
            expires = (self.finished or 0.0) + keep_s
            kept = {key: self.result.get(key) for key in ("name", "bytes", "rate_hz", "samples")}
            result = {"url": f"/api/v1/jobs/{self.id}/result", **kept, "expires": timestamp(expires)}
        return {
            "id": self.id,
            "batch": self.batch,
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "stage": self.stage if self.state == RUNNING else self.state,
            "progress": round(self.progress, 4),
            "place": place,
            "engine": self.engine,
            "engine_name": self.engine_name,
            "speaker": self.options.get("speaker"),
            "speaker_name": self.speaker_name,
            "options": self.options,
            "created": timestamp(self.created),
            "started": timestamp(self.started),
            "finished": timestamp(self.finished),
            "seconds": self.seconds,
            "seed": self.options.get("seed"),
            "notes": self.notes,
            "log": self.log,
            "error": self.error,
            "result": result,
        }


def timestamp(seconds: float | None) -> str | None:
    """ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
