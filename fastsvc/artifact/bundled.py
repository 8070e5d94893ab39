"""The engines of the package, which programs and the command line find by name."""

from __future__ import annotations

import os
from pathlib import Path

from fastsvc.errors import EngineError

FOLDER = Path(__file__).parent.parent / "demo"
SUFFIX = ".fsvc"
VOICES = FOLDER / f"voices{SUFFIX}"
PHRASES = FOLDER / "phrases"  # speech and singing of synthetic people, for the training of other voices


def names() -> list[str]:
    """Names of the bundled engines, such as "voices", the default."""
    return sorted((path.stem for path in FOLDER.glob("*" + SUFFIX) if path.is_dir()), key=_default_first)


def _default_first(name: str) -> tuple[bool, str]:
    return name != VOICES.stem, name


def engine_path(path: str | os.PathLike | None) -> str | os.PathLike:
    """``path``, or a bundled engine: the default for None, else the one of that name where no such path exists.

    Raises EngineError for None where no engine is bundled.
    """
    if path is None:
        if not names():
            raise EngineError("no engine is bundled with this installation", "name an engine folder")
        return FOLDER / (names()[0] + SUFFIX)
    if isinstance(path, str) and path in names() and not os.path.lexists(path):
        return FOLDER / (path + SUFFIX)
    return path
