"""The `config.json` beside a checkpoint, asked like the YAML of other formats."""

from __future__ import annotations

import json
from pathlib import Path

from fastsvc.checkpoints.yaml_file import YamlFile
from fastsvc.errors import CheckpointError

LIMIT = 2**20  # bytes


class JsonFile(YamlFile):
    """``get("sampling_rate", int)`` with a type check; raises CheckpointError for what is missing or wrong."""

    def __init__(self, checkpoint: Path, given: Path | None = None, name: str = "config.json"):
        self.path = given or checkpoint.with_name(name)
        if not self.path.is_file():
            raise CheckpointError(
                f"{checkpoint} needs its configuration, and there is no {self.path}", f"put its {name} beside it"
            )
        try:
            if self.path.stat().st_size > LIMIT:
                raise CheckpointError(f"{self.path} is larger than {LIMIT >> 20} MB", "give the checkpoint's own")
            self.values = json.loads(self.path.read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError, OSError) as error:
            raise CheckpointError(f"{self.path} cannot be read: {str(error).splitlines()[0]}", "correct it") from None
        if not isinstance(self.values, dict):
            raise CheckpointError(f"{self.path} is not a JSON object", f"give the {name} of the checkpoint")
