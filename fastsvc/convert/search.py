"""The recordings of a folder, below it and behind its links; results of earlier runs are omitted."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc.audio import suffixes
from fastsvc.audio.io import EXTENSIONS, FOREIGN
from fastsvc.convert.index import INDEX, LISTS, results_in
from fastsvc.convert.names import InputRecording, natural_key
from fastsvc.files.tree import Tree, identity

__all__ = ["FOREIGN", "EarlierResults", "SearchResult", "search"]


@dataclass
class SearchResult:
    """``problems``: (path, reason) of folders that could not be listed; ``notes`` say what was omitted; ``others``: the
    number of files of each suffix that is not a recording's."""

    recordings: list[InputRecording] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


class EarlierResults:
    """Results of earlier runs, from the lists in their output folders; each list is read once."""

    def __init__(self):
        self._lists: dict[Path, dict[str, set[int]]] = {}

    def below(self, folder: Path) -> dict[str, set[int]]:
        """Names relative to ``folder`` → their sizes in bytes."""
        if folder not in self._lists:
            self._lists[folder] = results_in(folder)
        return self._lists[folder]

    def runs_above(self, folder: Path) -> list[EarlierRun]:
        """The runs whose list lies above ``folder`` but whose results may lie in it."""
        real = Path(os.path.realpath(folder))
        runs = [
            EarlierRun(parent, self.below(parent), f"{real.relative_to(parent).as_posix()}/") for parent in real.parents
        ]
        return [run for run in runs if run.sizes]

    def run_of(self, file: Path) -> EarlierRun | None:
        """The run that wrote the file at ``file`` or behind that link, or None."""
        real = Path(os.path.realpath(file))
        runs = [EarlierRun(real.parent, self.below(real.parent)), *self.runs_above(real.parent)]
        return next((run for run in runs if run.holds(real)), None)


@dataclass(frozen=True)
class EarlierRun:
    """``folder`` holds the run's list; ``inner``: the path from there to a folder below, "" or ending in a slash."""

    folder: Path
    sizes: dict[str, set[int]]
    inner: str = ""

    def holds(self, file: Path) -> bool:
        """Whether ``file`` in that inner folder is a result of this run, by its name and size alone."""
        try:
            return file.stat().st_size in self.sizes.get(self.inner + file.name, ())
        except OSError:
            return False

    def into(self, name: str) -> EarlierRun:
        return EarlierRun(self.folder, self.sizes, f"{self.inner}{name}/")


def search(folder: Path, out_dir: Path, earlier: EarlierResults) -> SearchResult:
    """All recordings of ``folder`` in natural order, without hidden ones and those of ``out_dir``.

    Linked folders are followed, each folder once. Results of earlier runs are omitted, except where ``folder`` is, or
    lies in, the output folder of an earlier run (not ``out_dir``) and holds nothing else.
    """
    walk = _Walk(folder, out_dir, earlier)
    walk.walk([])
    return walk.result()


class _Walk(Tree[list[EarlierRun]]):
    """``inherited``: runs whose results may lie in a folder, besides runs whose lists lie above the real folder."""

    def __init__(self, folder: Path, out_dir: Path, earlier: EarlierResults):
        super().__init__(folder, natural_key)
        self.name, self.earlier = os.path.basename(os.path.realpath(folder)), earlier
        self.out_dir, self.real_out = identity(out_dir), Path(os.path.realpath(out_dir))
        self.within_out = Path(os.path.realpath(folder)).is_relative_to(self.real_out)
        self.recordings: list[InputRecording] = []
        self.results: dict[Path, list[InputRecording]] = defaultdict(list)  # of earlier runs, by the run's folder
        self.others: Counter[str] = Counter()
        self.problems: list[tuple[Path, str]] = []

    def begin(self, folder: Path, inherited: list[EarlierRun]) -> list[EarlierRun]:
        return inherited + self.earlier.runs_above(folder)

    def enters(self, folder: Path, folder_id: object) -> bool:
        return folder_id != self.out_dir or folder == self.folder

    def listed(self, folder: Path, names: list[str], inherited: list[EarlierRun]) -> list[EarlierRun]:
        if INDEX in names or LISTS in names:
            return [*inherited, EarlierRun(folder, self.earlier.below(folder))]
        return inherited

    def into(self, inherited: list[EarlierRun], name: str) -> list[EarlierRun]:
        return [run.into(name) for run in inherited]

    def unlisted(self, folder: Path, error: OSError) -> None:
        self.problems.append((folder, f"the folder cannot be listed: {error.strerror}"))

    def follows_link(self, link: Path) -> bool:
        """Not into the output folder."""
        return self.within_out or not Path(os.path.realpath(link)).is_relative_to(self.real_out)

    def file(self, path: Path, inherited: list[EarlierRun], linked: bool) -> None:
        suffix = path.suffix.lower()
        if suffix not in EXTENSIONS:
            self.others[suffix] += 1
            return
        recording = InputRecording(path, self.name, path.relative_to(self.folder), linked)
        run = next((run for run in inherited if run.holds(path)), None)
        if run is None and path.is_symlink():
            run = self.earlier.run_of(path)
        (self.recordings if run is None else self.results[run.folder]).append(recording)

    def result(self) -> SearchResult:
        notes, foreign = [], Counter({name: n for name, n in self.others.items() if name in FOREIGN})
        if foreign:
            kinds = suffixes.count_text(foreign)
            notes.append(
                f"{self.folder}: {kinds} left out: convert them to wav or flac first, for instance with ffmpeg"
            )
        recordings = self.recordings
        real = Path(os.path.realpath(self.folder))
        inside = [folder for folder in self.results if real.is_relative_to(os.path.realpath(folder))]
        own_output = any(Path(os.path.realpath(folder)) == self.real_out for folder in inside)
        if not recordings and inside and not own_output and len(inside) == len(self.results):
            recordings = [recording for folder in inside for recording in self.results.pop(folder)]
            notes.append(f"{self.folder} holds only results of an earlier run: they are converted as recordings")
        for folder, omitted in sorted(self.results.items()):
            advice = f"name the files or {folder} to convert them"
            notes.append(f"{folder}: {len(omitted)} results of an earlier run left out: {advice}")
        recordings = sorted(recordings, key=lambda recording: natural_key(recording.relative))
        return SearchResult(recordings, self.problems, notes, self.others)
