"""The `config.json` beside a checkpoint, asked like the YAML of other formats."""

from __future__ import annotations

from pathlib import Path

from fastsvc import reading
from fastsvc.checkpoints.files import beside
from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.checkpoints.given import Given
from fastsvc.errors import CheckpointError


class JsonFile(YamlFile):
    """``get("sampling_rate", int)`` with a type check; raises CheckpointError for what is missing or wrong."""

    def __init__(self, checkpoint: Path, given: Given, name: str = "config.json"):
        self.path = given.config or checkpoint.with_name(name)
        if not self.path.exists():
            raise beside.missing(checkpoint, self.path, option=False)
        self.values = reading.read_json(self.path, error=CheckpointError, notes=given.said)
        beside.refuse_answer(self.values, self.path)
        if not isinstance(self.values, dict):
            raise CheckpointError(f"{self.path} is not a JSON object", f"use the {name} of the checkpoint")
