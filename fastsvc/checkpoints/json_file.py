"""The `config.json` beside a checkpoint, asked like the YAML of other formats."""

from __future__ import annotations

from pathlib import Path

from fastsvc import reading
from fastsvc.checkpoints.yaml_file import YamlFile
from fastsvc.errors import CheckpointError


class JsonFile(YamlFile):
    """``get("sampling_rate", int)`` with a type check; raises CheckpointError for what is missing or wrong."""

    def __init__(self, checkpoint: Path, given: Path | None = None, name: str = "config.json"):
        self.path = given or checkpoint.with_name(name)
        if not self.path.exists():
            raise CheckpointError(
                f"{checkpoint} needs its configuration, and there is no {self.path}", f"put its {name} beside it"
            )
        self.values = reading.json_file(self.path, error=CheckpointError)
        if not isinstance(self.values, dict):
            raise CheckpointError(f"{self.path} is not a JSON object", f"give the {name} of the checkpoint")
