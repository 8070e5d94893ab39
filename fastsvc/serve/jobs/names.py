"""Names of recordings as clients gave them, made harmless; and names of results."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from fastsvc import spelling
from fastsvc.file_names import safe_tag
from fastsvc.serve.jobs.job import Job

# Files in a job's folder beside the recording and the result:
HEARD = "heard.wav"  # the recording as it was heard, one channel of 16 bits
PICTURES = {"input": "input.json.gz", "result": "result.json.gz"}
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


def cleaned(name: str, default: str = "recording") -> str:
    """A file name without folders, control characters and marks: at most 60 characters and a suffix."""
    plain = PurePosixPath(name.replace("\\", "/").replace("\0", "")).name
    stem, suffix = split(plain)
    return (safe_tag(stem) or default) + suffix


def split(name: str) -> tuple[str, str]:
    """(stem, suffix in lower case, or "" where it is none)"""
    suffix = PurePosixPath(name).suffix.lower()
    return (name[: -len(suffix)], suffix) if _SUFFIX.fullmatch(suffix) else (name, "")


def result_name(job: Job, suffix: str) -> str:
    """The recording's name with the voice: "song.m4a" by slt → "song_slt.wav"."""
    stem, _ = split(job.name)
    voice = safe_tag(job.speaker_name)
    return f"{stem}_{voice}{suffix}" if voice else stem + suffix


def distinct(names: Iterable[str]) -> list[str]:
    """The names, later duplicates with a number, so that all differ on any file system."""
    result: list[str] = []
    used: set[str] = set()
    for name in names:
        stem, suffix = split(name)
        new, number = name, 2
        while spelling.loose_key(new) in used:
            new, number = f"{stem}-{number}{suffix}", number + 1
        used.add(spelling.loose_key(new))
        result.append(new)
    return result
