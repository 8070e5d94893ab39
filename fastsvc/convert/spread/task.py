"""What is sent to a worker: a few recordings with one set of settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from fastsvc.convert.settings import ConversionSettings

_DENSE = {".flac": 2, ".mp3": 8, ".ogg": 8, ".oga": 8, ".opus": 12, ".m4a": 8, ".aac": 8, ".wma": 8, ".webm": 12}
MOST_WEIGHT = 16 * 2**20  # of several recordings in one task: about 6 minutes of 16 bit at 24 kHz


@dataclass(frozen=True)
class SpreadJob:
    """One recording. ``number``: its place in the plan; ``source``, ``target``: paths or URLs; ``name``: the target's
    path below the output folder, with slashes; ``size``, ``version``: of a source by URL, as in fastsvc.remote.Item."""

    number: int
    source: str
    target: str
    name: str
    format: str
    size: int = 0
    version: int = 0

    @property
    def weight(self) -> int:
        """About the bytes of its samples. The length stands in its header, but a million headers are too many."""
        return self.size * _DENSE.get(PurePath(self.source).suffix.lower(), 1)


@dataclass(frozen=True)
class Task:
    """Recordings that one worker converts, together where its engine gains by that."""

    number: int
    jobs: tuple[SpreadJob, ...]
    settings: ConversionSettings

    @property
    def weight(self) -> int:
        return sum(job.weight for job in self.jobs)


def tasks_of(pairs: Iterable[tuple[SpreadJob, ConversionSettings]], most: int) -> list[Task]:
    """Tasks of up to ``most`` recordings with the same settings, the heaviest first: so the last ones end together."""
    result, open_jobs, last = [], [], None
    for job, settings in sorted(pairs, key=lambda pair: (-pair[0].weight, pair[0].number)):
        full = len(open_jobs) >= most or sum(other.weight for other in open_jobs) + job.weight > MOST_WEIGHT
        if last is not None and open_jobs and (full or settings is not last):
            result.append(Task(len(result), tuple(open_jobs), last))
            open_jobs = []
        open_jobs.append(job)
        last = settings
    if last is not None:
        result.append(Task(len(result), tuple(open_jobs), last))
    return result
