"""A folder whose `manifest.json` lists its files with sizes and sha256: read verified, added to whole or not at all.

Several processes may add to one folder while others read it. What a reader has been told of stays as it was: a file
whose name is taken by other content is written beside it under a name with its hash, and the list, which is renamed
into place, says which one is meant. What was replaced longer ago goes when the name is given again, as tables and
caches are replaced many times.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from pathlib import Path

from fastsvc.errors import EngineError, OutputError
from fastsvc.files import clear_leftovers, folder_lock, sha256, write_bytes

MANIFEST = "manifest.json"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?")  # at most one folder deep
WAIT_S = 300.0  # for others that add: a process that was stopped, or a stranger's, may hold a folder for ever
GRACE_S = 60.0  # who has read the older list finds what it names for so long at least


def verified(folder: Path, files: dict, name: str, remedy: str) -> Path:
    """The path of a listed file, once its size and sha256 are found right. Raises EngineError."""
    entry = files.get(name)
    if not isinstance(entry, dict) or not isinstance(name, str) or not NAME.fullmatch(name):
        raise EngineError(f"{folder / MANIFEST} does not list {name!r} properly", remedy)
    place = entry.get("file", name)
    if not isinstance(place, str) or not NAME.fullmatch(place) or Path(place).parent != Path(name).parent:
        raise EngineError(f"{folder / MANIFEST} does not list {name!r} properly", remedy)
    file = folder / place
    if file.is_symlink() or not file.is_file():
        raise EngineError(f"{file} is missing", remedy)
    if file.stat().st_size != entry.get("bytes"):
        text = f"{file} has {file.stat().st_size} bytes instead of {entry.get('bytes')}: it is damaged"
        raise EngineError(text, remedy)
    if sha256(file) != entry.get("sha256"):
        raise EngineError(f"{file} is damaged: its sha256 differs from the manifest's", remedy)
    return file


def add(folder: Path, files: dict[str, bytes], current) -> dict:
    """Write ``files`` and list them; ``current()`` reads the manifest, once nobody else writes. Returns the new one.

    Raises OutputError, or what ``current`` raises; then the list is as it was, and no new file is left.
    """
    new: list[Path] = []
    text = b""
    try:
        with folder_lock(folder, "adding to it", wait_s=WAIT_S):
            clear_leftovers(folder, deep=True)
            manifest = current()
            before = manifest["files"]
            listed = dict(before)
            for name, content in files.items():
                digest = hashlib.sha256(content).hexdigest()
                place = _place(folder, name, digest)
                if not (folder / place).exists() or sha256(folder / place) != digest:
                    _write(folder / place, content, new)
                listed[name] = {"bytes": len(content), "sha256": digest, **({"file": place} if place != name else {})}
            manifest = {**manifest, "files": listed}
            text = (json.dumps(manifest, indent=1) + "\n").encode()
            _write(folder / MANIFEST, text, [])
            # what was named until now, and what is named from now on, stays
            entries = [pair for both in (before, listed) for pair in both.items() if isinstance(pair[1], dict)]
            held = {str(entry.get("file", name)) for name, entry in entries}
            found = (path for name in files for path in _replaced(folder / name))
            _remove([path for path in found if path.relative_to(folder).as_posix() not in held])
            return manifest
    except BaseException as error:
        if not text or (folder / MANIFEST).read_bytes() != text:
            _remove(new)
        if isinstance(error, OSError):
            reason = error.strerror or error
            message = f"cannot write into {folder}: {reason}"
            raise OutputError(message, "free space, or check who may write there") from None
        raise


def _remove(new: list[Path]) -> None:
    for path in reversed(new):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def _place(folder: Path, name: str, digest: str) -> str:
    """The name to write content under: its own, or where that is taken by other content, one with its hash."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an engine's file")
    path = folder / name
    if path.parent.is_symlink() or path.is_symlink():
        raise OSError(0, f"{name} is a link")  # an engine is a stranger's folder: nothing is written elsewhere
    if not path.exists() or (path.is_file() and sha256(path) == digest):
        return name
    return str(Path(name).with_name(f"{path.stem}.{digest[:16]}{path.suffix}"))


def _replaced(path: Path) -> list[Path]:
    """Files with content that :func:`_place` gave this name more than :data:`GRACE_S` ago."""
    own = re.compile(rf"{re.escape(path.stem)}(\.[0-9a-f]{{16}})?{re.escape(path.suffix)}")
    found = [one for one in path.parent.iterdir() if own.fullmatch(one.name) and one.is_file()]
    return [one for one in found if time.time() - one.stat().st_mtime > GRACE_S]


def _write(path: Path, content: bytes, new: list[Path]) -> None:
    """Whole or not at all; ``new`` gets what was not there before."""
    if not path.parent.is_dir():
        new.append(path.parent)
        path.parent.mkdir(exist_ok=True)
    if not path.exists():
        new.append(path)
    write_bytes(path, content, permissions=path.parent.stat().st_mode & 0o666)  # as shared as the folder is
