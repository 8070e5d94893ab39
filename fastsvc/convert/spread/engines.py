"""Engine folders by URL: copied once into the cache folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from fastsvc import files
from fastsvc.errors import EngineError
from fastsvc.remote import Folder, is_url

ENGINES = "engines"  # in the cache folder
MANIFEST = "manifest.json"


def local(engine: str | os.PathLike) -> Path:
    """The engine's folder on this machine: itself, or its copy. The copy's place depends on names, sizes and contents,
    so a changed engine is copied anew. Raises EngineError, AudioError where the URL cannot be read, OutputError."""
    if not is_url(engine):
        return Path(engine)
    url = str(engine).rstrip("/")
    folder = Folder(url)
    items = sorted((item for item in folder.items() if not _hidden(item.name)), key=lambda item: item.name)
    if MANIFEST not in {item.name for item in items}:
        raise EngineError(f"{url}: no engine is there", f"name a folder with {MANIFEST}, as `fastsvc build` makes it")
    key = hashlib.sha256(repr((url, items)).encode()).hexdigest()[:32]
    place = files.cache_folder() / ENGINES / key / url.rpartition("/")[2]
    if place.is_dir():
        return place
    with files.new_folder(place, replace=True) as new:
        for item in items:
            target = new.joinpath(*item.name.split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.fetch(item.name, target)
    return place


def _hidden(name: str) -> bool:
    """Hidden, or a name that would lead out of the folder."""
    return any(part.startswith(".") or not part or "\\" in part for part in name.split("/"))
