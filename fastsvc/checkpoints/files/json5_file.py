"""JSON with comments and trailing commas, as Amphion writes and reads it (the `json5` package)."""

from __future__ import annotations

import re
from pathlib import Path

from fastsvc import reading
from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.errors import CheckpointError

# What is never closed runs to the end: otherwise each further beginning would be searched to the end once more.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"?'
_COMMENT = re.compile(rf"({_STRING})|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_BLANK = re.compile(r"[^\n]")
_TRAILING = re.compile(rf"({_STRING})|,(\s*[\]}}])", re.DOTALL)


class Json5File(YamlFile):
    """:meth:`get` of :class:`YamlFile` for such a file, which is of the name ``kind`` in messages."""

    def __init__(self, path: Path, kind: str, notes: list[str] | None = None):
        self.path, self.kind = path, kind
        try:
            self.values = parse(reading.read_text(path, error=CheckpointError, notes=notes))
        except ValueError as error:
            raise CheckpointError(f"{path} cannot be read: {error}", "correct the file") from None
        if not isinstance(self.values, dict):
            raise CheckpointError(f"{path} is not a mapping", f"use {kind}")


def parse(text: str):
    """The values of a text; comments and trailing commas inside strings are left alone."""
    plain = _COMMENT.sub(lambda found: found[1] or _BLANK.sub(" ", found[0]), text)  # places stay what they are
    return reading.parse_json(_TRAILING.sub(lambda found: found[1] or " " + found[2], plain))
