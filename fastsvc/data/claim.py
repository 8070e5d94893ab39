"""A corpus's settings.json: the folder is ours, and its items were made with the settings that are asked for."""

from __future__ import annotations

from pathlib import Path

from fastsvc import files
from fastsvc.config import from_dict, to_dict
from fastsvc.config.plain import differences
from fastsvc.data.pieces import PrepareSettings
from fastsvc.data.store import load_json, save_json
from fastsvc.errors import ConfigError, OutputError

FORMAT = 1


def check_free(out: Path) -> None:
    """Raises OutputError where ``out`` is neither empty nor a corpus: nothing is written there."""
    path = out / "settings.json"
    if path.is_file():
        stored = load_json(path)
        is_corpus = (
            isinstance(stored.get("format"), int) and isinstance(stored.get("settings"), dict) and "phones" in stored
        )
    else:
        is_corpus = files.free_or_ours(out)
    if not is_corpus:
        raise OutputError(f"{out}: exists and is not a prepared corpus", "choose a new or empty folder")


def claim(out: Path, settings: PrepareSettings, phones: tuple[str, ...]) -> None:
    """Write settings.json. Raises ConfigError where ``out`` was prepared with other settings."""
    requested = {"format": FORMAT, "settings": to_dict(settings), "phones": list(phones)}
    path = out / "settings.json"
    if path.is_file():
        stored = _completed(load_json(path))
        if stored != requested and (out / "records").exists():  # without records nothing was made yet
            messages = [
                line
                for _, line in differences(
                    *(record | record["settings"] | {"settings": 0} for record in (stored, requested))
                )
            ]
            raise ConfigError(
                f"{out}: was prepared with other settings: {'; '.join(messages)}",
                "use another folder, or the same settings",
            )
    if not path.is_file() or stored != requested:
        save_json(path, requested)


def _completed(stored: dict) -> dict:
    """The stored settings; settings newer than the file are added at their defaults, which change nothing."""
    try:
        return stored | {"settings": to_dict(from_dict(PrepareSettings, stored["settings"]))}
    except (ConfigError, KeyError):
        return stored
