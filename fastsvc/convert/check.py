"""Checks before the first conversion: a report that could not be written at the end is refused at once."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from fastsvc.convert.batch import check_output_folder
from fastsvc.convert.index import INDEX
from fastsvc.convert.plan import ConversionPlan
from fastsvc.convert.sources import Sources
from fastsvc.errors import OutputError
from fastsvc.files import IN_WORK

_REMEDY = "choose another file for --report"
_LARGEST = 2**27  # bytes of a report that may be replaced; a report on 300,000 recordings is smaller


def check_report(path: str | os.PathLike, plan: ConversionPlan) -> Path:
    """The path of the report: ``path``, or the target of that link. The report makes its folder.

    Raises OutputError if the path holds something other than our report, is an input or a result of ``plan``, or
    cannot be written.
    """
    if not os.fspath(path):
        raise OutputError("the report has no name", _REMEDY)
    name, path = path, Path(os.path.realpath(os.path.expanduser(path)))
    if plan.sources.hold(path):
        raise OutputError(f"{name} is an input", _REMEDY)
    results = Sources([*(job.target for job in plan.jobs), plan.folder / INDEX, plan.folder / IN_WORK])
    if results.hold(path) or any(map(results.hold, path.parents)):
        raise OutputError(f"{name} is where a result goes", _REMEDY)
    if any(map(Sources([path]).hold, {folder for job in plan.jobs for folder in job.target.parents})):
        raise OutputError(f"{name} is where a folder of results goes", _REMEDY)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        status = None
    except (OSError, ValueError) as error:
        raise OutputError(f"{name} cannot be written: {getattr(error, 'strerror', error)}", _REMEDY) from None
    if status is not None:
        if stat.S_ISDIR(status.st_mode):
            raise OutputError(f"{name} is a folder", _REMEDY)
        if not stat.S_ISREG(status.st_mode):
            raise OutputError(f"{name} is not a regular file", _REMEDY)
        if status.st_size and not _is_report(path):
            raise OutputError(f"{name} exists and is not a report of fastsvc, so it is not replaced", _REMEDY)
    check_output_folder(path.parent)
    return path


def _is_report(path: Path) -> bool:
    """Whether fastsvc.convert.report wrote the file."""
    try:
        if path.stat().st_size > _LARGEST:
            return False
        return is_report(path.read_bytes())
    except (OSError, MemoryError):
        return False


def is_report(content: bytes) -> bool:
    """Whether a file of this content is a report."""
    try:
        data = json.loads(content.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError, MemoryError):
        return False
    return (
        isinstance(data, dict)
        and type(data.get("format")) is int
        and isinstance(data.get("files"), list)
        and isinstance(data.get("totals"), dict)
        and {"planned", "real_time_factor", "interrupted"} <= data["totals"].keys()
    )
