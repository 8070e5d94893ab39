"""The recordings of a manifest: one a row, each with a target below the output folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fastsvc.audio.encode import FORMATS
from fastsvc.convert.manifest import Row
from fastsvc.convert.plan import output_format
from fastsvc.convert.sources import Sources
from fastsvc.convert.spread.remote_plan import SpreadPlan, job_of, size_of
from fastsvc.errors import ConfigError
from fastsvc.remote import Folder, Item, is_url, joined, split

_MANY = 20  # sources by URL in one folder: from then on it is listed, instead of asking for each
_SUFFIXES = {suffix: format for format, (suffix, *_) in FORMATS.items()}


def manifest_plan(path: str, rows: Sequence[Row], out: str, format: str) -> SpreadPlan:
    """The n-th job is of the n-th row. A target's suffix chooses its format, else ``format`` does.

    Raises ConfigError for two rows with one target, a target that would replace a source, or a suffix of no format.
    """
    items = _Items(rows)
    local = [row.source for row in rows if not is_url(row.source)]
    result, seen = SpreadPlan(out, sources=Sources(local)), {}
    urls = {row.source for row in rows if is_url(row.source)}
    for number, row in enumerate(rows):
        where = f"{path}, line {row.line}"
        name, kind = _name(where, row, format)
        other = seen.setdefault(name.casefold(), row.line)
        if other != row.line:
            raise ConfigError(f"{where}: line {other} has the same target {name}", "name another target in the row")
        target = joined(out, name) if is_url(out) else str(Path(out, name))
        if target in urls or (not is_url(out) and result.sources.hold(target)):
            raise ConfigError(f"{where}: {target} would replace a source", "name another target, or another folder -o")
        if is_url(row.source):
            item = items.of(row.source)
            size, version = (item.size, item.version) if item else (0, 0)
        else:
            size, version = size_of(Path(row.source)), 0
        result.jobs.append(job_of(number, row.source, out, name, kind, size, version))
    return result


def _name(where: str, row: Row, format: str) -> tuple[str, str]:
    """(the result's path below the output folder, its format)"""
    if not row.target:
        kind = output_format(Path(row.source), format)
        return PurePosixPath(split(row.source.replace("\\", "/"))[1]).with_suffix(FORMATS[kind][0]).name, kind
    suffix = PurePosixPath(row.target).suffix.lower()
    if not suffix:
        kind = output_format(Path(row.source), format)
        return row.target + FORMATS[kind][0], kind
    if suffix not in _SUFFIXES:
        raise ConfigError(f"{where}: {row.target} has no format of results", f"use one of {', '.join(_SUFFIXES)}")
    return row.target, _SUFFIXES[suffix]


class _Items:
    """Size and version of sources by URL."""

    def __init__(self, rows: Sequence[Row]):
        self.counts = Counter(split(row.source)[0] for row in rows if is_url(row.source))
        self.folders: dict[str, Folder] = {}
        self.listed: dict[str, dict[str, Item]] = {}

    def of(self, url: str) -> Item | None:
        above, name = split(url)
        if above not in self.folders:
            self.folders[above] = Folder(above)
        if self.counts[above] < _MANY:
            return self.folders[above].item(name)
        if above not in self.listed:
            self.listed[above] = {item.name: item for item in self.folders[above].items()}
        return self.listed[above].get(name)
