"""Which recordings of a plan need converting: the driver's side of the rules of results."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastsvc.convert.index import Index, Stamp
from fastsvc.convert.plan import ConversionPlan, Job
from fastsvc.convert.report import Entry
from fastsvc.convert.request_hash import request_hash
from fastsvc.convert.results import Results
from fastsvc.convert.settings import ConversionSettings
from fastsvc.convert.sources import Sources
from fastsvc.convert.spread.remote_results import RemoteLists, RemoteResults, engine_name
from fastsvc.convert.spread.task import SpreadJob
from fastsvc.remote import Folder, is_url

Pair = tuple[SpreadJob, ConversionSettings]


class SpreadResults(Results):
    """Results in a local folder, of recordings that may be named by URL. ``origins``: by the job's own source, which is
    where a worker has put it."""

    origins: dict[Path, SpreadJob]

    def __init__(self, origins: dict[Path, SpreadJob], *arguments, **options):
        self.origins = origins
        super().__init__(*arguments, **options)

    def source_name(self, job: Job) -> str:
        origin = self.origins[job.source]
        return origin.source if is_url(origin.source) else super().source_name(job)

    def source_stamp(self, job: Job) -> Stamp | None:
        origin = self.origins[job.source]
        return Stamp(origin.size, origin.version) if is_url(origin.source) else super().source_stamp(job)


def settled(engine, out: str, pairs: Iterable[Pair], sources: Sources) -> Iterator[tuple[Pair, Entry | None]]:
    """Each recording with the entry that it has already, or None where it is to be converted.

    ``out``: the output folder, a path or a URL. Raises OutputError where lists of results cannot be kept.
    """
    by_settings: dict[int, list[Pair]] = {}
    for pair in pairs:
        by_settings.setdefault(id(pair[1]), []).append(pair)
    if is_url(out):
        lists = RemoteLists(Folder(out))
        for group in by_settings.values():
            results = remote_results(engine, lists, group[0][1], {job.format for job, _ in group})
            for pair in group:
                yield pair, results.settled(pair[0], source_of(pair[0]))
        return
    folder, index = Path(out), Index(Path(out))
    for number, group in enumerate(by_settings.values()):
        origins = {Path(job.source): job for job, _ in group}
        jobs = [Job(Path(job.source), Path(job.target), job.format) for job, _ in group]
        plan = ConversionPlan(jobs, folder=folder, sources=sources)
        results = SpreadResults(origins, engine, plan, group[0][1], index, clear=number == 0)
        for pair, job in zip(group, jobs):
            entry = results.settled(job)
            if entry is not None:
                entry.input = pair[0].source
            yield pair, entry


def remote_results(engine, lists: RemoteLists, settings: ConversionSettings, formats: Iterable[str]) -> RemoteResults:
    """The results of one request in a folder by URL."""
    request = {kind: request_hash(engine, settings, kind) for kind in formats}
    return RemoteResults(lists, request, settings.voice, engine_name(engine.path), settings.overwrite)


def source_of(job: SpreadJob, folder: str = "") -> tuple[str, int, int] | None:
    """(name, size, version) of a recording for the lists of a folder by URL; None where it is missing.

    ``folder``: in which relative paths begin.
    """
    if is_url(job.source):
        return job.source, job.size, job.version
    try:
        status = os.stat(Path(folder, job.source))
    except OSError:
        return None
    return Path(os.path.realpath(Path(folder, job.source))).as_posix(), status.st_size, status.st_mtime_ns
