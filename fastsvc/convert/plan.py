"""Which recordings are converted, and the path of each result. Nothing is decoded or written here."""

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

    ``folder``: the output folder; ``sources``: the files that no result may replace.
    """

    jobs: list[Job] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folder: Path = Path()
    sources: Sources = field(default_factory=Sources)


def output_format(source: Path, format: str) -> str:
    """``format``; for "same" the format of ``source``, or wav where that format cannot be written."""
    return _SAME_FORMAT.get(source.suffix.lower(), "wav") if format == "same" else format


def plan(
    inputs: Iterable[str | os.PathLike],
    out_dir: str | os.PathLike,
    format: str = "wav",
    tag: str = "",
    tag_all: bool = False,
) -> ConversionPlan:
    """Expand ``inputs`` (files, and folders with all below them) into jobs in natural order.

    The tree below each folder is kept. From folders are omitted: hidden files, files whose suffix is not a
    recording's, results of earlier runs, and ``out_dir`` itself. A file given by name always gets a job, even if it is
    missing; the job then fails. ``tag`` is added
    to the name of a result that would replace a recording, with ``tag_all`` to every name. A leading ~ is the home
    folder. Raises AudioError when a folder is missing or nothing is found, OutputError when a folder would be its own
    output folder.
    """
    paths = [_expanded(path) for path in inputs]
    result, earlier, recordings, empty = ConversionPlan(folder=_folder(out_dir)), EarlierResults(), [], []
    for path in paths:
        if os.path.isdir(path):
            in_folder, others = _in_folder(path, earlier, result)
            recordings += in_folder
            empty += [] if in_folder else [(path, others)]
        elif os.path.lexists(path) or path.suffix.lower() in EXTENSIONS | FOREIGN:
            recordings.append(_named(path, earlier, result.notes))
        else:
            raise AudioError(f"{path}: no such file or folder", "check the path")
    if not recordings and not result.problems:
        why = [*result.notes, f"looked for {', '.join(sorted(EXTENSIONS))}"]
        folders = ", ".join(f"{folder} (there are {others})" if others else str(folder) for folder, others in empty)
        raise AudioError(f"no recordings in {folders}", "; ".join(why))
    for folder, others in empty:
        result.notes.append(f"{folder}: no recordings in it" + (f", there are {others}" if others else ""))
    result.sources = Sources(recording.source for recording in recordings)
    unique = _unique(recordings, result.notes)
    formats = [output_format(recording.source, format) for recording in unique]
    suffixes = [FORMATS[kind][0] for kind in formats]
    result.notes += _become_wav(unique, formats) if format == "same" else []
    names, notes = name_results(unique, suffixes, result.folder, tag, result.sources, tag_all)
    result.notes += notes
    result.jobs = [
        Job(recording.source, result.folder / name, kind) for recording, name, kind in zip(unique, names, formats)
    ]
    return result


def _expanded(path: str | os.PathLike) -> Path:
    if not os.fspath(path):
        raise AudioError("an input has no name", "name a file or folder")
    return Path(path if os.path.lexists(path) else os.path.expanduser(path))


def _folder(out_dir: str | os.PathLike) -> Path:
    """``out_dir`` without "..", which leads elsewhere once the folder before it is created."""
    if not os.fspath(out_dir):
        raise OutputError("the output folder has no name", "choose one with -o")
    folder = Path(os.path.expanduser(out_dir))
    if os.pardir not in folder.parts:
        return folder
    real = os.path.realpath(folder)
    return Path(real if folder.is_absolute() else os.path.relpath(real))


def _in_folder(folder: Path, earlier: EarlierResults, result: ConversionPlan) -> tuple[list[InputRecording], str]:
    """(the folder's recordings, the kinds of its other files in words)"""
    inode = identity(folder)
    if os.path.realpath(folder) == os.path.realpath(result.folder) or (inode and inode == identity(result.folder)):
        raise OutputError(f"{folder} is both input and output folder", "choose another output folder with -o")
    in_folder = search(folder, result.folder, earlier)
    result.problems += in_folder.problems
    result.notes += in_folder.notes
    return in_folder.recordings, suffixes.count_text(in_folder.others)


def _become_wav(recordings: list[InputRecording], formats: list[str]) -> list[str]:
    """A line about the recordings whose own format cannot be written, though "same" is asked for."""
    others = [recording.source.name for recording, format in zip(recordings, formats) if format == "wav"]
    kinds = suffixes.kinds(name for name in others if Path(name).suffix.lower() not in _WAV)
    return [f"{suffixes.count_text(kinds)}: not a format of results, so these become wav"] if kinds else []


def _named(file: Path, earlier: EarlierResults, notes: list[str]) -> InputRecording:
    if file.name == INDEX:
        raise AudioError(f"{file} is fastsvc's list of results", "name the recordings themselves")
    if earlier.run_of(file) is not None:
        notes.append(f"{file} is a result of an earlier run: converted, because the command names it")
    return InputRecording(file, "", Path(file.name), file.is_symlink())


def _unique(recordings: list[InputRecording], notes: list[str]) -> list[InputRecording]:
    """Each recording under one of its names: one that is not a link, if there is one."""
    chosen: dict = {}
    for recording in sorted(recordings, key=lambda recording: recording.linked):
        chosen.setdefault(same_recording(recording.source), recording)
    for recording in recordings:
        other = chosen[same_recording(recording.source)]
        if recording.linked and recording is not other:
            notes.append(f"{recording.source} is {other.source} under another name: it is converted once")
    ids = set(map(id, chosen.values()))
    return [recording for recording in recordings if id(recording) in ids]
