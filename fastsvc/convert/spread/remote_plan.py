"""The recordings of inputs by URL, beside those of local inputs, and the names of all their results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fastsvc.audio import suffixes
from fastsvc.audio.encode import FORMATS
from fastsvc.audio.io import EXTENSIONS, FOREIGN
from fastsvc.convert.index import LISTS
from fastsvc.convert.names import InputRecording, name_results, natural_key
from fastsvc.convert.plan import ConversionPlan, output_format, plan
from fastsvc.convert.sources import Sources
from fastsvc.convert.spread.remote_results import RemoteLists
from fastsvc.convert.spread.task import SpreadJob
from fastsvc.errors import AudioError, OutputError
from fastsvc.remote import Folder, Item, is_url, joined, split

_NOWHERE = Path(os.path.abspath(os.sep), ".fastsvc-nowhere")  # stands for a folder by URL where names are made


@dataclass
class SpreadPlan:
    """``jobs`` in order; ``problems``, ``notes``: as in ConversionPlan; ``sources``: files that no result replaces."""

    out: str
    jobs: list[SpreadJob] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: Sources = field(default_factory=Sources)


def spread_plan(inputs: Sequence[str], out: str, format: str = "wav", tag: str = "") -> SpreadPlan:
    """As fastsvc.convert.plan.plan, with URLs among ``inputs`` or as ``out``. Raises AudioError, OutputError."""
    urls, paths = [name for name in inputs if is_url(name)], [name for name in inputs if not is_url(name)]
    place = _NOWHERE if is_url(out) else Path(out)
    local = plan(paths, place, format, tag) if paths else ConversionPlan(folder=place)
    problems = [(str(path), reason) for path, reason in local.problems]
    result = SpreadPlan(out, problems=problems, notes=list(local.notes), sources=local.sources)
    if not urls:
        for number, job in enumerate(local.jobs):
            name = job.target.relative_to(local.folder).as_posix()
            result.jobs.append(job_of(number, str(job.source), out, name, job.format, size_of(job.source)))
        return result
    found = _Found(out, result.notes)
    for url in urls:
        found.add(url.rstrip("/"))
    recordings = [InputRecording(job.source, "", job.target.relative_to(local.folder)) for job in local.jobs]
    recordings += [recording for recording, _ in found.recordings]
    if not recordings:
        raise AudioError(f"no recordings in {', '.join(inputs)}", f"looked for {', '.join(sorted(EXTENSIONS))}")
    items = dict(found.recordings)
    kinds = [output_format(recording.source, format) for recording in recordings]
    held = _Held({url for url, _ in found.urls.values()}, out) if is_url(out) else local.sources
    names, notes = name_results(recordings, [FORMATS[kind][0] for kind in kinds], place, tag, held)
    for number, (recording, name, kind) in enumerate(zip(recordings, names, kinds)):
        item = items.get(recording)
        url = found.urls[recording.source][0] if item else str(recording.source)
        size, version = (item.size, item.version) if item else (size_of(recording.source), 0)
        result.jobs.append(job_of(number, url, out, name.as_posix(), kind, size, version))
        notes = [note.replace(str(recording.source), url) if item else note for note in notes]
    result.notes += notes
    return result


class _Held(Sources):
    """Objects that are inputs, asked for by the names of results."""

    def __init__(self, urls: set[str], out: str):
        super().__init__()
        self.urls, self.out = urls, out

    def hold(self, path: str | os.PathLike) -> bool:
        return joined(self.out, Path(path).relative_to(_NOWHERE).as_posix()) in self.urls


class _Found:
    """``recordings``: with paths that stand for URLs; ``urls``: of these paths."""

    def __init__(self, out: str, notes: list[str]):
        self.out, self.notes = out.rstrip("/"), notes
        self.recordings: list[tuple[InputRecording, Item]] = []
        self.urls: dict[Path, tuple[str, Item]] = {}

    def add(self, url: str) -> None:
        if url == self.out:
            raise OutputError(f"{url} is both input and output folder", "choose another output folder with -o")
        above, name = split(url)
        single = Folder(above).item(name)
        if single is not None:
            return self._recording(url, single, "", name)
        folder = Folder(url)
        items = folder.items()
        if not items:
            raise AudioError(f"{url}: no such file or folder", "check the URL")
        earlier = _earlier(folder, items)
        others, left = Counter(), 0
        for item in sorted(items, key=lambda item: natural_key(PurePosixPath(item.name))):
            suffix, whole = PurePosixPath(item.name).suffix.lower(), joined(url, item.name)
            if any(part.startswith(".") for part in item.name.split("/")) or whole.startswith(f"{self.out}/"):
                continue
            if suffix not in EXTENSIONS:
                others[suffix] += 1
            elif item.size in earlier.get(item.name, ()):
                left += 1
            else:
                self._recording(whole, item, name, item.name)
        foreign = Counter({kind: count for kind, count in others.items() if kind in FOREIGN})
        if foreign:
            self.notes.append(f"{url}: {suffixes.count_text(foreign)} left out: convert them to wav or flac first")
        if left:
            self.notes.append(f"{url}: {left} results of an earlier run left out: name the files to convert them")

    def _recording(self, url: str, item: Item, folder: str, relative: str) -> None:
        stands = Path(os.path.abspath(os.sep), *url.replace("://", "/").split("/"))
        if stands not in self.urls:
            self.urls[stands] = url, item
            self.recordings.append((InputRecording(stands, folder, Path(*relative.split("/"))), item))


def _earlier(folder: Folder, items: list[Item]) -> dict[str, set[int]]:
    """Names of earlier runs' results → their sizes, from all lists in the folder and below."""
    marks = {item.name.partition(f"{LISTS}/")[0] for item in items if f"/{LISTS}/" in f"/{item.name}"}
    result: dict[str, set[int]] = {}
    for above in marks:
        lists = RemoteLists(Folder(joined(folder.url, above.rstrip("/"))))
        for name, results in lists.read().items():
            result.setdefault(above + name, set()).update(entry.size for entry in results)
    return result


def job_of(number: int, source: str, out: str, name: str, format: str, size: int = 0, version: int = 0) -> SpreadJob:
    """The job whose result is ``name`` below ``out``."""
    target = joined(out, name) if is_url(out) else str(Path(out, name))
    return SpreadJob(number, source, target, name, format, size, version)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where it is missing."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
