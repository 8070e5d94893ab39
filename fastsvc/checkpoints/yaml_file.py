"""The YAML file beside a checkpoint, with errors that name the file and the key."""

from __future__ import annotations

import reprlib
from pathlib import Path

from fastsvc.errors import CheckpointError

_REQUIRED = object()
LIMIT = 2**20  # bytes; real ones have a few thousand
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2


def shown(value) -> str:
    """A value for messages; aliases can make that of a short file endless, so it is never written out whole."""
    return _SHORT.repr(value)


class YamlFile:
    """``get("data.hop_length", int)`` with a type check; raises CheckpointError for what is missing or wrong."""

    kind = "the config.yaml of the training run"  # what the file is, for messages

    def __init__(self, checkpoint: Path, given: Path | None):
        import yaml

        self.path = given or checkpoint.with_name("config.yaml")
        if not self.path.is_file():
            raise CheckpointError(
                f"{checkpoint} needs its configuration, and there is no {self.path}", "give it with --config"
            )
        try:
            if self.path.stat().st_size > LIMIT:
                raise CheckpointError(f"{self.path} is larger than {LIMIT >> 20} MB", "give the config of the run")
            self.values = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError) as error:
            reason = (str(error).splitlines() or ["?"])[0]
            raise CheckpointError(f"{self.path} cannot be read: {reason}", "correct it") from None
        if not isinstance(self.values, dict):
            raise CheckpointError(f"{self.path} is not a YAML mapping", "give the config.yaml of the training run")

    @classmethod
    def of(cls, values, path: Path) -> YamlFile:
        """The same over a mapping that lies inside a checkpoint."""
        if not isinstance(values, dict):
            raise CheckpointError(f"{path}: its configuration is a {type(values).__name__}", "the file is damaged")
        made = cls.__new__(cls)
        made.path, made.values = path, values
        return made

    def get(self, dotted: str, kind, default=_REQUIRED):
        value = self.values
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            if default is _REQUIRED:
                raise CheckpointError(f"{self.path}: {dotted} is missing", f"give {self.kind}")
            return default
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise CheckpointError(
                f"{self.path}: {dotted} is {shown(value)}, but {kind.__name__} is expected", "correct it"
            )
        return value
