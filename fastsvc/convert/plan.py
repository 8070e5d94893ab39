"""Which recordings are converted, and where each result goes. Nothing is decoded or written here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc.audio import suffixes
from fastsvc.audio.encode import FORMATS
from fastsvc.audio.io import EXTENSIONS, FOREIGN
from fastsvc.convert.index import INDEX
from fastsvc.convert.names import InputRecording, name_results, natural_key
from fastsvc.convert.search import EarlierResults, search
from fastsvc.convert.sources import Sources, identity, same_recording
from fastsvc.errors import AudioError, OutputError

__all__ = ["ConversionPlan", "Job", "natural_key", "output_format", "plan"]

_WAV = {".wav", ".wave", ".rf64"}
_SAME_FORMAT = {".flac": "flac", ".mp3": "mp3", ".ogg": "ogg", ".oga": "ogg", ".opus": "ogg"}


@dataclass(frozen=True)
class Job:
    """One recording and the path and format of its result."""

    source: Path
    target: Path
    format: str


@dataclass
class ConversionPlan:
    """``problems``: (path, reason) of folders that could not be listed; ``notes``: lines for the user.

    ``folder``: the output folder; ``sources``: what no result may replace.
    """

    jobs: list[Job] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folder: Path = Path()
    sources: Sources = field(default_factory=Sources)


def output_format(source: Path, format: str) -> str:
    """``format``, or for "same" the one of ``source`` (wav where that cannot be written)."""
    return _SAME_FORMAT.get(source.suffix.lower(), "wav") if format == "same" else format


def plan(
    inputs: Iterable[str | os.PathLike], out_dir: str | os.PathLike, format: str = "wav", tag: str = ""
) -> ConversionPlan:
    """Expand ``inputs`` (files, and folders with all below them) into jobs in natural order.

    The tree below each folder is kept. Hidden files, files that are no recordings by their suffix, results of earlier
    runs and ``out_dir`` itself are left out of folders; a file given by name is always taken, even if missing: that is
    then its failure. ``tag`` is put into the name of a result that would replace a recording. A leading ~ is the home
    folder. Raises AudioError when a folder is missing or nothing is found, OutputError when a folder would be its own
    output folder.
    """
    inputs = [_expanded(one) for one in inputs]
    result, earlier, found, empty = ConversionPlan(folder=_folder(out_dir)), EarlierResults(), [], []
    for given in inputs:
        if os.path.isdir(given):
            more, others = _in_folder(given, earlier, result)
            found += more
            empty += [] if more else [(given, others)]
        elif os.path.lexists(given) or given.suffix.lower() in EXTENSIONS | FOREIGN:
            found.append(_named(given, earlier, result.notes))
        else:
            raise AudioError(f"{given}: no such file or folder", "check the path")
    if not found and not result.problems:
        why = [*result.notes, f"looked for {', '.join(sorted(EXTENSIONS))}"]
        told = ", ".join(f"{folder} (there are {others})" if others else str(folder) for folder, others in empty)
        raise AudioError(f"no recordings in {told}", "; ".join(why))
    for folder, others in empty:
        result.notes.append(f"{folder}: no recordings in it" + (f", there are {others}" if others else ""))
    result.sources = Sources(one.source for one in found)
    once = _once(found, result.notes)
    formats = [output_format(one.source, format) for one in once]
    suffixes = [FORMATS[kind][0] for kind in formats]
    result.notes += _unlike(once, formats) if format == "same" else []
    names, notes = name_results(once, suffixes, result.folder, tag, result.sources)
    result.notes += notes
    result.jobs = [Job(one.source, result.folder / name, kind) for one, name, kind in zip(once, names, formats)]
    return result


def _expanded(given: str | os.PathLike) -> Path:
    if not os.fspath(given):
        raise AudioError("an input has no name", "name a file or folder")
    return Path(given if os.path.lexists(given) else os.path.expanduser(given))


def _folder(out_dir: str | os.PathLike) -> Path:
    """Without "..", which leads elsewhere once the folder before it is made."""
    if not os.fspath(out_dir):
        raise OutputError("the output folder has no name", "choose one with -o")
    folder = Path(os.path.expanduser(out_dir))
    if os.pardir not in folder.parts:
        return folder
    real = os.path.realpath(folder)
    return Path(real if folder.is_absolute() else os.path.relpath(real))


def _in_folder(folder: Path, earlier: EarlierResults, result: ConversionPlan) -> tuple[list[InputRecording], str]:
    """(its recordings, what else it holds, in words)"""
    known = identity(folder)
    if os.path.realpath(folder) == os.path.realpath(result.folder) or (known and known == identity(result.folder)):
        raise OutputError(f"{folder} is both input and output folder", "choose another output folder with -o")
    searched = search(folder, result.folder, earlier)
    result.problems += searched.problems
    result.notes += searched.notes
    return searched.found, suffixes.told(searched.others)


def _unlike(found: list[InputRecording], formats: list[str]) -> list[str]:
    """A line for the recordings of which the format "same" cannot keep theirs."""
    others = [one.source.name for one, format in zip(found, formats) if format == "wav"]
    kinds = suffixes.kinds(name for name in others if Path(name).suffix.lower() not in _WAV)
    return [f"{suffixes.told(kinds)}: not a format of results, so these become wav"] if kinds else []


def _named(file: Path, earlier: EarlierResults, notes: list[str]) -> InputRecording:
    if file.name == INDEX:
        raise AudioError(f"{file} is fastsvc's list of results", "name the recordings themselves")
    if earlier.run_of(file) is not None:
        notes.append(f"{file} is a result of an earlier run: converted, because the command names it")
    return InputRecording(file, "", Path(file.name), file.is_symlink())


def _once(found: list[InputRecording], notes: list[str]) -> list[InputRecording]:
    """Each recording under one of its names: one that is no link, if there is one."""
    chosen: dict = {}
    for one in sorted(found, key=lambda one: one.linked):
        chosen.setdefault(same_recording(one.source), one)
    taken = set(map(id, chosen.values()))
    for one in found:
        other = chosen[same_recording(one.source)]
        if one.linked and one is not other:
            notes.append(f"{one.source} is {other.source} under another name: it is converted once")
    return [one for one in found if id(one) in taken]
