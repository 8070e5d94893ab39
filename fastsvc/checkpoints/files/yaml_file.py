"""The YAML file beside a checkpoint, with errors that name the file and the key."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar

from fastsvc import reading
from fastsvc.checkpoints.files import config_search
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError

_REQUIRED: Any = object()
Kind = TypeVar("Kind")


class YamlFile:
    """``get("data.hop_length", int)`` with a type check; raises CheckpointError for a missing or wrong value."""

    kind = "the config.yaml of the training run"  # the file's description in messages
    path: Path
    values: dict

    def __init__(self, checkpoint: Path, options: ReadOptions, option: bool = True):
        """``option``: --config can name another file; it cannot for a vocoder."""
        self.path = options.config or checkpoint.with_name("config.yaml")
        if not self.path.exists():
            raise config_search.missing_error(checkpoint, self.path, option=option)
        self.values = reading.read_yaml(self.path, error=CheckpointError, notes=options.notes)
        config_search.refuse_server_message(self.values, self.path)
        if not isinstance(self.values, dict):
            raise CheckpointError(f"{self.path} is not a YAML mapping", "use the config.yaml of the training run")

    @classmethod
    def of(cls, values, path: Path) -> YamlFile:
        """The same interface over a mapping inside a checkpoint."""
        if not isinstance(values, dict):
            raise CheckpointError(
                f"{path}: its configuration is a {type(values).__name__}", "download the checkpoint again"
            )
        file = cls.__new__(cls)
        file.path, file.values = path, values
        return file

    def get(self, dotted: str, kind: type[Kind], default: Kind = _REQUIRED) -> Kind:
        value: Any = self.values
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            if default is _REQUIRED:
                raise CheckpointError(f"{self.path}: {dotted} is missing", f"use {self.kind}")
            return default
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if abs(value) < 2**63 else math.inf
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise CheckpointError(
                f"{self.path}: {dotted} is {shown(value)}, but {kind.__name__} is expected", "correct the file"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise CheckpointError(f"{self.path}: {dotted} is {shown(value)}, not a finite number", "correct the file")
        return value
