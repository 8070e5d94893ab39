"""What a run writes besides results: its report, and the results of a manifest's rows as they are finished."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fastsvc.convert import report as reports
from fastsvc.convert.batch import check_output_folder
from fastsvc.convert.check import check_report, is_report
from fastsvc.convert.manifest import Row
from fastsvc.convert.plan import ConversionPlan, Job
from fastsvc.convert.report import Entry
from fastsvc.convert.shard import Shard
from fastsvc.convert.spread.remote_plan import SpreadPlan
from fastsvc.convert.spread.task import SpreadJob
from fastsvc.errors import OutputError
from fastsvc.remote import Folder, file_of, is_url, split

_REMEDY = "choose another file for --report"


@dataclass(frozen=True)
class ReportFile:
    """Where the report goes: a path, or a URL."""

    place: str

    @classmethod
    def of(cls, report: str | None, plan: SpreadPlan) -> ReportFile | None:
        """Raises OutputError where the file is something else, an input or a result."""
        if report is None:
            return None
        place = file_of(report)
        if not is_url(place):
            return cls(str(check_report(place, _local(plan))))
        taken = {name for job in plan.jobs for name in (job.source, job.target)}
        if place in taken:
            raise OutputError(f"{place} is an input or a result", _REMEDY)
        folder, name = split(place)
        content = Folder(folder).read([name]).get(name, b"")
        if content and not is_report(content):
            raise OutputError(f"{place} exists and is not a report of fastsvc, so it is not replaced", _REMEDY)
        return cls(place)

    def save(self, data: dict) -> None:
        """Raises OutputError."""
        if not is_url(self.place):
            return reports.save(self.place, data)
        folder, name = split(self.place)
        text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        Folder(folder).write(name, text.encode("utf-8", "backslashreplace"))


def check(plan: SpreadPlan, shared: bool) -> None:
    """See that files can be written to the output folder, and make it where machines share it: the first file makes it
    otherwise. Raises OutputError. Whether an object can be put is only known when one is."""
    if is_url(plan.out):
        return
    check_output_folder(plan.out)
    if shared:
        Path(plan.out).mkdir(parents=True, exist_ok=True)


def results_file(manifest: str, shard: Shard | None) -> Path:
    """Where the results of a manifest's rows are appended: beside it; for one by URL in the current folder."""
    path = Path(split(manifest)[1]) if is_url(manifest) else Path(file_of(manifest))
    part = "" if shard is None else f"-{shard.number}-of-{shard.count}"
    return path.with_name(f"{path.stem}.results{part}.jsonl")


def appending(path: Path, rows: Sequence[Row]) -> Callable[[SpreadJob, Entry], None]:
    """Appends a line for each finished row: its line in the manifest and what the report says of it.

    Raises OutputError where it cannot be written.
    """

    def append(job: SpreadJob, entry: Entry) -> None:
        line = json.dumps({"line": rows[job.number].line, **asdict(entry)}, ensure_ascii=False)
        try:
            with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line + "\n")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}", "check who may write there") from None

    return append


def _local(plan: SpreadPlan) -> ConversionPlan:
    """The plan as far as files of this machine are concerned."""
    jobs = [Job(Path(job.source), Path(job.target), job.format) for job in plan.jobs if not is_url(job.target)]
    folder = Path(os.devnull) if is_url(plan.out) else Path(plan.out)
    return ConversionPlan(jobs, folder=folder, sources=plan.sources)
