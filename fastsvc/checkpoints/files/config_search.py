"""The configuration beside a checkpoint, where it is not under the name that its project gives it."""

from __future__ import annotations

from pathlib import Path

from fastsvc.errors import CheckpointError

YAML, JSON = (".yaml", ".yml", ".yaml.txt", ".yml.txt"), (".json", ".json5", ".json.txt")  # .txt: Windows hides it
OTHERS = {"manifest.json", "singers.json", "tokenizer.json", "vocab.json", "preprocessor_config.json", "package.json"}
MAX_LISTED = 8  # names that a message lists
SAID = {"error", "errors", "message", "detail", "status", "code", "statuscode", "error_description"}  # by servers


def candidates(checkpoint: Path, endings: tuple[str, ...] = YAML + JSON) -> list[Path]:
    """Files beside ``checkpoint`` that may be its configuration, by their names."""
    try:
        found = sorted(checkpoint.parent.iterdir())
    except OSError:
        return []
    return [
        file
        for file in found
        if file.name.lower().endswith(endings)
        and not file.name.startswith(".")
        and file.name.lower() not in OTHERS
        and file.is_file()
    ]


def proposal(checkpoint: Path, wanted: str, endings: tuple[str, ...] = YAML + JSON, option: bool = True) -> str:
    """What to do about a ``wanted`` configuration that is missing. ``option``: --config can name another."""
    found = candidates(checkpoint, endings)
    if not found:
        return (
            f"name the configuration with --config, or copy it beside the checkpoint as {wanted}"
            if option
            else f"copy {wanted} beside the checkpoint"
        )
    if len(found) == 1:
        way = f"--config {found[0]}, or rename it" if option else f"rename it to {wanted}"
        return f"{found[0].name} lies there: if it is the one, {way}"
    names = ", ".join(file.name for file in found[:MAX_LISTED]) + (" …" if len(found) > MAX_LISTED else "")
    way = "name the right one with --config" if option else f"rename the right one to {wanted}"
    return f"{names} lie there: {way}"


def missing_error(checkpoint: Path, wanted: Path, endings: tuple[str, ...] = YAML + JSON, option: bool = True):
    """The error for a configuration that is not there."""
    return CheckpointError(
        f"{checkpoint} needs its configuration, and there is no {wanted}",
        proposal(checkpoint, wanted.name, endings, option),
    )


def refuse_server_message(values, path: Path) -> None:
    """Raises CheckpointError for a server's message that was saved as a configuration."""
    if isinstance(values, dict) and values and {str(key).lower() for key in values} <= SAID:
        raise CheckpointError(f"{path} is a server's message, not a configuration", "download the file itself")
