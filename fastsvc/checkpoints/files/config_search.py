"""Search for the configuration beside a checkpoint, where it does not have its project's file name."""

from __future__ import annotations

from pathlib import Path

from fastsvc.errors import CheckpointError

YAML, JSON = (".yaml", ".yml", ".yaml.txt", ".yml.txt"), (".json", ".json5", ".json.txt")  # .txt: Windows hides it
IGNORED = {"manifest.json", "singers.json", "tokenizer.json", "vocab.json", "preprocessor_config.json", "package.json"}
MAX_LISTED = 8  # file names in a message
SERVER_KEYS = {
    "error",
    "errors",
    "message",
    "detail",
    "status",
    "code",
    "statuscode",
    "error_description",
}  # in servers' error messages


def candidates(checkpoint: Path, endings: tuple[str, ...] = YAML + JSON) -> list[Path]:
    """Files beside ``checkpoint`` whose names may be those of its configuration."""
    try:
        files = sorted(checkpoint.parent.iterdir())
    except OSError:
        return []
    return [
        file
        for file in files
        if file.name.lower().endswith(endings)
        and not file.name.startswith(".")
        and file.name.lower() not in IGNORED
        and file.is_file()
    ]


def proposal(checkpoint: Path, expected: str, endings: tuple[str, ...] = YAML + JSON, option: bool = True) -> str:
    """The remedy for a missing configuration named ``expected``. ``option``: --config can name another file."""
    files = candidates(checkpoint, endings)
    if not files:
        return (
            f"name the configuration with --config, or copy it beside the checkpoint as {expected}"
            if option
            else f"copy {expected} beside the checkpoint"
        )
    if len(files) == 1:
        remedy = f"--config {files[0]}, or rename it" if option else f"rename it to {expected}"
        return f"{files[0].name} lies there: if it is the one, {remedy}"
    names = ", ".join(file.name for file in files[:MAX_LISTED]) + (" …" if len(files) > MAX_LISTED else "")
    remedy = "name the right one with --config" if option else f"rename the right one to {expected}"
    return f"{names} lie there: {remedy}"


def missing_error(checkpoint: Path, expected: Path, endings: tuple[str, ...] = YAML + JSON, option: bool = True):
    """The error for a missing configuration."""
    return CheckpointError(
        f"{checkpoint} needs its configuration, and there is no {expected}",
        proposal(checkpoint, expected.name, endings, option),
    )


def refuse_server_message(values, path: Path) -> None:
    """Raises CheckpointError for a server's message that was saved as a configuration."""
    if isinstance(values, dict) and values and {str(key).lower() for key in values} <= SERVER_KEYS:
        raise CheckpointError(f"{path} is a server's message, not a configuration", "download the file itself")
