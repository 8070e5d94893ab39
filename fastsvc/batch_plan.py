"""Which recordings are converted, and where each result goes. Nothing is decoded or written here."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc.audio.encode import FORMATS
from fastsvc.audio.io import EXTENSIONS
from fastsvc.errors import AudioError, OutputError

# Recordings that libsndfile cannot decode: in a folder they are passed over, but not without a word.
_FOREIGN = frozenset([".m4a", ".aac", ".mp4", ".wma", ".webm", ".mka", ".ape", ".wv", ".opus2"])
_SAME_FORMAT = {".flac": "flac", ".mp3": "mp3", ".ogg": "ogg", ".oga": "ogg", ".opus": "ogg"}


@dataclass(frozen=True)
class Job:
    """One recording and the path and format of its result."""

    source: Path
    target: Path
    format: str


@dataclass
class Plan:
    """``problems``: (path, reason) of folders that could not be listed; ``notes``: lines for the user."""

    jobs: list[Job] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Found:
    source: Path
    folder: str  # name of the folder it was found through, or ""
    relative: Path  # where its result goes below the output folder, still with the source's suffix


def natural_key(path: str | os.PathLike) -> list:
    """Sorting key by which "take 2" comes before "take 10", folder by folder."""
    return [
        [(1, int(piece), "") if piece.isdigit() else (0, 0, piece.casefold()) for piece in re.split(r"(\d+)", part)]
        for part in Path(path).parts
    ]


def output_format(source: Path, format: str) -> str:
    """``format``, or for "same" the one of ``source`` (wav where that cannot be written)."""
    return _SAME_FORMAT.get(source.suffix.lower(), "wav") if format == "same" else format


def plan(inputs: Iterable[str | os.PathLike], out_dir: str | os.PathLike, format: str = "wav", tag: str = "") -> Plan:
    """Expand ``inputs`` (files, and folders with all below them) into jobs in natural order.

    The tree below each folder is kept. Hidden files, files that are no recordings by their suffix, and ``out_dir``
    itself are left out of folders; a file given by name is always taken, even if missing: that is then its
    failure. ``tag`` is put into the name of a result that would replace a recording. Raises AudioError when a
    folder is missing or nothing is found, OutputError when a folder would be its own output folder.
    """
    out_dir, result, found = Path(out_dir), Plan(), {}
    for given in map(Path, inputs):
        if given.is_dir():
            entries = _search(given, out_dir, result)
            if not entries:
                result.notes.append(f"{given}: no recordings in it")
        elif given.exists() or given.suffix.lower() in EXTENSIONS | _FOREIGN:
            entries = [_Found(given, "", Path(given.name))]
        else:
            raise AudioError(f"{given}: no such file or folder", "check the path")
        for entry in entries:
            found.setdefault(os.path.abspath(entry.source), entry)
    if not found and not result.problems:
        raise AudioError(
            f"no recordings in {', '.join(map(str, inputs))}", f"looked for {', '.join(sorted(EXTENSIONS))}"
        )
    result.jobs = _name_results(list(found.values()), out_dir, format, tag, result.notes)
    return result


def _search(folder: Path, out_dir: Path, result: Plan) -> list[_Found]:
    if os.path.realpath(folder) == os.path.realpath(out_dir):
        raise OutputError(f"{folder} is both input and output folder", "choose another output folder with -o")
    found, foreign = [], defaultdict(int)

    def unreadable(error: OSError):
        result.problems.append((Path(error.filename), f"the folder cannot be listed: {error.strerror}"))

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(Path(parent, name)) != os.path.realpath(out_dir)
        ]
        for name in files:
            path = Path(parent, name)
            if name.startswith("."):
                continue
            if path.suffix.lower() in EXTENSIONS:
                found.append(_Found(path, folder.resolve().name, path.relative_to(folder)))
            elif path.suffix.lower() in _FOREIGN:
                foreign[path.suffix.lower()] += 1
    for suffix, count in sorted(foreign.items()):
        result.notes.append(f"{folder}: {count} {suffix} left out: convert to wav or flac first, e.g. with ffmpeg")
    return sorted(found, key=lambda entry: natural_key(entry.relative))


def _name_results(found: list[_Found], out_dir: Path, format: str, tag: str, notes: list[str]) -> list[Job]:
    formats = [output_format(entry.source, format) for entry in found]
    relative = [entry.relative.with_suffix(FORMATS[kind][0]) for entry, kind in zip(found, formats)]
    sources = {os.path.realpath(entry.source) for entry in found}
    for i, target in enumerate(relative):
        if os.path.realpath(out_dir / target) in sources:  # a.wav converted into its own folder
            relative[i] = target.with_stem(f"{target.stem}_{tag or 'converted'}")
    _tell_apart(found, formats, relative, notes)
    return [Job(entry.source, out_dir / target, kind) for entry, target, kind in zip(found, relative, formats)]


def _tell_apart(found: list[_Found], formats: list[str], relative: list[Path], notes: list[str]) -> None:
    """Change the clashing ones of ``relative``: by the source's suffix, then by its folder, then by number.

    Every member of a clash is treated alike, so that names do not depend on the order of the inputs.
    """

    def clashes():
        groups = defaultdict(list)
        for i, target in enumerate(relative):
            groups[str(target).casefold()].append(i)  # some file systems do not tell case apart
        return [group for group in groups.values() if len(group) > 1]

    before = list(relative)
    for group in clashes():
        for i in group:
            suffix = found[i].source.suffix.lower()
            if suffix != relative[i].suffix and len({found[j].source.suffix.lower() for j in group}) > 1:
                relative[i] = relative[i].with_stem(relative[i].stem + suffix)
    for group in clashes():
        for i in group:
            folder = found[i].folder or found[i].source.resolve().parent.name
            relative[i] = Path(folder) / relative[i] if folder else relative[i]
    taken = {str(target).casefold() for target in relative}
    for group in clashes():
        for i in group[1:]:
            plain, number = relative[i], 2
            while str(relative[i]).casefold() in taken:
                relative[i] = plain.with_stem(f"{plain.stem}-{number}")
                number += 1
            taken.add(str(relative[i]).casefold())
    for i, target in enumerate(relative):
        if target != before[i]:
            notes.append(f"{found[i].source} is written as {target}: another input has the same name")
