"""The `config.json` beside a checkpoint, with the interface of :class:`YamlFile`."""

from __future__ import annotations

from pathlib import Path

from fastsvc import reading
from fastsvc.checkpoints.files import config_search
from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.errors import CheckpointError


class JsonFile(YamlFile):
    """``get("sampling_rate", int)`` with a type check; raises CheckpointError for a missing or wrong value."""

    def __init__(self, checkpoint: Path, options: ReadOptions, name: str = "config.json"):
        self.path = options.config or checkpoint.with_name(name)
        if not self.path.exists():
            raise config_search.missing_error(checkpoint, self.path, option=False)
        self.values = reading.read_json(self.path, error=CheckpointError, notes=options.notes)
        config_search.refuse_server_message(self.values, self.path)
        if not isinstance(self.values, dict):
            raise CheckpointError(f"{self.path} is not a JSON object", f"use the {name} of the checkpoint")
