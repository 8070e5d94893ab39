"""One recording into a file that has a name: `fastsvc convert a.wav -o b.flac`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fastsvc.audio.encode import FORMATS, format_of
from fastsvc.convert.plan import ConversionPlan, Job, plan
from fastsvc.errors import OutputError

_FOLDER = "name a folder with -o, or one recording"


def format_for(out: str, format: str, chosen: bool) -> str:
    """``format``, or the one that the suffix of ``out`` names where that is a file (:func:`is_file`).

    Raises OutputError where the user has ``chosen`` another.
    """
    if not is_file(out):
        return format
    named = format_of(out)
    if chosen and named != format:
        raise OutputError(f"{out} is to be {named} by its name, and {format} by --format", "omit --format")
    return named


def is_file(out: str) -> bool:
    """Whether -o names a file: its suffix is that of a format that is written, and no folder has the name."""
    return Path(out).suffix.lower() in {suffix for suffix, *_ in FORMATS.values()} and not os.path.isdir(out)


def plan_file(inputs: Sequence[str], out: str, format: str) -> ConversionPlan:
    """A plan whose only job writes ``out``. Raises AudioError, OutputError: for folders and several inputs, too."""
    if len(inputs) != 1:
        raise OutputError(f"{out} names one file, and there are {len(inputs)} inputs", _FOLDER)
    if os.path.isdir(inputs[0]):
        raise OutputError(f"{out} names one file, and {inputs[0]} is a folder", _FOLDER)
    folder, name = os.path.split(out)
    planned = plan(inputs, folder or os.curdir, format)
    planned.jobs = [Job(job.source, planned.folder / name, format) for job in planned.jobs]
    planned.notes = [note for note in planned.notes if " is written as " not in note]
    if planned.sources.hold(planned.jobs[0].target):
        raise OutputError(f"{out} is the recording itself", "choose another file with -o")
    return planned
