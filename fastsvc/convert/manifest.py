"""A list of recordings, each with its own result, speaker and options: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fastsvc import reading
from fastsvc.errors import ConfigError
from fastsvc.remote import Folder, is_url, joined, split

LINE_BYTES = 2**20
# Options of a row, and what they may hold; the same as those of the command line, which are their defaults.
OPTIONS = {
    "transpose": (int, float, str),
    "formant": (int, float),
    "steps": (int,),
    "seed": (int,),
    "noise_scale": (int, float),
    "rms_mix_rate": (int, float),
    "f0": (str,),
    "high_pass": (bool,),
    "normalise": (bool,),
    "rate": (int,),
    "bits": (str,),
    "channels": (str,),
}
TEXTS = ("source", "target", "speaker")
EXAMPLE = '{"source": "songs/a.wav", "target": "a.flac", "speaker": "slt", "transpose": "auto"}'


@dataclass(frozen=True)
class Row:
    """``line``: its number in the file; ``source``: a path or URL; ``target``: below the output folder, or "" for a
    name like the source's; ``speaker``: as --spk, or "" for that."""

    line: int
    source: str
    target: str = ""
    speaker: str = ""
    options: dict = field(default_factory=dict)


def read(path: str) -> list[Row]:
    """The rows of a file, by path or URL. Relative sources lie beside the file. Raises ConfigError for the first row
    that makes no sense, so that nothing is converted by a list with a mistake."""
    lines = _lines(path)
    above = split(path)[0] if is_url(path) else str(Path(path).parent)
    rows, targets = [], {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _row(f"{path}, line {number}", number, line, above)
        other = targets.setdefault(row.target, number) if row.target else number
        if other != number:
            raise ConfigError(f"{path}, line {number}: line {other} has the same target", "name one target a row")
        rows.append(row)
    if not rows:
        raise ConfigError(f"{path}: no rows are in it", f"write rows like {EXAMPLE}")
    return rows


def _lines(path: str) -> Iterable[bytes]:
    if is_url(path):
        folder, name = split(path)
        content = Folder(folder).read([name]).get(name)
        if content is None:
            raise ConfigError(f"{path}: no such file", "check the URL")
        return content.splitlines()
    return _lines_of_file(path)


def _lines_of_file(path: str) -> Iterator[bytes]:
    with reading.open_file(Path(path), ConfigError) as file:
        while line := file.readline(LINE_BYTES):
            yield line


def _row(where: str, number: int, line: bytes, above: str) -> Row:
    remedy = f"write rows like {EXAMPLE}"
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not JSON: {error}", remedy) from None
    if not isinstance(data, dict) or not isinstance(data.get("source"), str) or not data["source"]:
        raise ConfigError(f"{where}: not an object with a source", remedy)
    for name, value in data.items():
        kinds = (str,) if name in TEXTS else (int, str) if name == "speaker" else OPTIONS.get(name)
        if kinds is None:
            known = ", ".join((*TEXTS, *OPTIONS))
            raise ConfigError(f"{where}: {name!r} is not known", f"use {known}")
        if name == "speaker" and type(value) is int:
            continue
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ConfigError(f"{where}: {name} is {value!r}", remedy)
    source, target = data["source"], data.get("target", "")
    if not is_url(source) and not Path(source).expanduser().is_absolute():
        source = joined(above, source) if is_url(above) else str(Path(above, source))
    parts = PurePosixPath(target.replace("\\", "/")).parts
    if ".." in parts or PurePosixPath(target).is_absolute() or ":" in (parts[0] if parts else ""):
        raise ConfigError(f"{where}: {target} does not lie below the output folder", "write a relative path")
    options = {name: value for name, value in data.items() if name in OPTIONS}
    return Row(number, source, PurePosixPath(*parts).as_posix() if parts else "", str(data.get("speaker", "")), options)
