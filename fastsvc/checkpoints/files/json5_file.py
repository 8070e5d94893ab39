"""JSON with comments and trailing commas, as in Amphion's files (the `json5` package)."""

from __future__ import annotations

import re
from pathlib import Path

from fastsvc import reading
from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.errors import CheckpointError

# An unclosed string or comment runs to the end, so that no later one is searched to the end again.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"?'
_COMMENT = re.compile(rf"({_STRING})|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_BLANK = re.compile(r"[^\n]")
_TRAILING = re.compile(rf"({_STRING})|,(\s*[\]}}])", re.DOTALL)


class Json5File(YamlFile):
    """:meth:`get` of :class:`YamlFile` for such a file; messages call it ``kind``."""

    def __init__(self, path: Path, kind: str, notes: list[str] | None = None):
        self.path, self.kind = path, kind
        try:
            self.values = parse(reading.read_text(path, error=CheckpointError, notes=notes))
        except ValueError as error:
            raise CheckpointError(f"{path} cannot be read: {error}", "correct the file") from None
        if not isinstance(self.values, dict):
            raise CheckpointError(f"{path} is not a mapping", f"use {kind}")


def parse(text: str):
    """The values of a text; comments and trailing commas inside strings are kept."""
    plain = _COMMENT.sub(lambda match: match[1] or _BLANK.sub(" ", match[0]), text)  # positions in errors stay right
    return reading.parse_json(_TRAILING.sub(lambda match: match[1] or " " + match[2], plain))
