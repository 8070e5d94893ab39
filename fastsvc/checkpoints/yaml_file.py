"""The YAML file beside a checkpoint, with errors that name the file and the key."""

from __future__ import annotations

from pathlib import Path

from fastsvc.errors import CheckpointError

_REQUIRED = object()


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
            self.values = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise CheckpointError(f"{self.path} cannot be read: {str(error).splitlines()[0]}", "correct it") from None
        if not isinstance(self.values, dict):
            raise CheckpointError(f"{self.path} is not a YAML mapping", "give the config.yaml of the training run")

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
            raise CheckpointError(f"{self.path}: {dotted} is {value!r}, but {kind.__name__} is expected", "correct it")
        return value
