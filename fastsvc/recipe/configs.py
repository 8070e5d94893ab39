"""The configurations in the package: one YAML file for each kind of training, and one for `fastsvc prepare`."""

from __future__ import annotations

from pathlib import Path

import yaml

from fastsvc import arguments, files, reading

FOLDER = Path(__file__).parent / "configs"
PAIRED = "paired"  # a student by that method
KINDS = ("prepare", "recogniser", "singer", "pitch", "vocoder", "teacher", "student", PAIRED, "dmo")


def text(kind: str) -> str:
    """The YAML of a kind, with its comments. Raises ConfigError for an unknown kind."""
    arguments.one_of("configuration", kind, KINDS)
    return reading.read_text(FOLDER / f"{kind}.yaml")


def write(path: Path, kind: str, changes: dict, task: dict) -> None:
    """Write the kind's configuration with ``changes``, and with ``task`` in its task part."""
    config = reading.parse_yaml(text(kind), numbers=True)
    config |= changes
    config["task"] = config.get("task", {}) | task
    files.write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
