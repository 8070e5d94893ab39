"""A folder whose `manifest.json` lists its files with sizes and sha256: verified reads, additions whole or not at all.

Several processes may add to one folder while others read it. Files that a reader has listed stay unchanged: new content
for a used name is written beside the old file, under a name with its hash, and the list, which is renamed into place,
names the new file. Files that were replaced longer ago are removed when their name is written again, as tables and
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
WAIT_S = 300.0  # wait for other processes: a stopped one, or a stranger's, may hold the lock for ever
GRACE_S = 60.0  # files listed by an older manifest stay at least this long


def verified(folder: Path, files: dict, name: str, remedy: str) -> Path:
    """The path of a listed file, after a check of its size and sha256. Raises EngineError."""
    entry = files.get(name)
    if not isinstance(entry, dict) or not isinstance(name, str) or not NAME.fullmatch(name):
        raise EngineError(f"{folder / MANIFEST} does not list {name!r} properly", remedy)
    file_name = entry.get("file", name)
    if not isinstance(file_name, str) or not NAME.fullmatch(file_name) or Path(file_name).parent != Path(name).parent:
        raise EngineError(f"{folder / MANIFEST} does not list {name!r} properly", remedy)
    file = folder / file_name
    if file.is_symlink() or not file.is_file():
        raise EngineError(f"{file} is missing", remedy)
    if file.stat().st_size != entry.get("bytes"):
        text = f"{file} has {file.stat().st_size} bytes instead of {entry.get('bytes')}: it is damaged"
        raise EngineError(text, remedy)
    if sha256(file) != entry.get("sha256"):
        raise EngineError(f"{file} is damaged: its sha256 differs from the manifest's", remedy)
    return file


def add(folder: Path, files: dict[str, bytes], current) -> dict:
    """Write ``files`` and list them; returns the new manifest. ``current()`` reads the manifest under the lock.

    Raises OutputError, or the error of ``current``; then the list is unchanged and no new file is left.
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
                file_name = _file_name(folder, name, digest)
                if not (folder / file_name).exists() or sha256(folder / file_name) != digest:
                    _write(folder / file_name, content, new)
                listed[name] = {"bytes": len(content), "sha256": digest}
                listed[name] |= {"file": file_name} if file_name != name else {}
            manifest = {**manifest, "files": listed}
            text = (json.dumps(manifest, indent=1) + "\n").encode()
            _write(folder / MANIFEST, text, [])
            # Files of the old and of the new list stay.
            entries = [item for both in (before, listed) for item in both.items() if isinstance(item[1], dict)]
            in_use = {str(entry.get("file", name)) for name, entry in entries}
            replaced = (path for name in files for path in _replaced(folder / name))
            _remove([path for path in replaced if path.relative_to(folder).as_posix() not in in_use])
            return manifest
    except BaseException as error:
        if not text or (folder / MANIFEST).read_bytes() != text:
            _remove(new)
        if isinstance(error, OSError):
            reason = error.strerror or error
            message = f"cannot write into {folder}: {reason}"
            raise OutputError(message, "free space, or check who may write there") from None
        raise


def _remove(paths: list[Path]) -> None:
    for path in reversed(paths):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def _file_name(folder: Path, name: str, digest: str) -> str:
    """The name of the file for some content: ``name``, or a name with the hash if ``name`` has other content."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an engine's file")
    path = folder / name
    if path.parent.is_symlink() or path.is_symlink():
        raise OSError(0, f"{name} is a link")  # an engine may be a stranger's folder: never write through its links
    if not path.exists() or (path.is_file() and sha256(path) == digest):
        return name
    return str(Path(name).with_name(f"{path.stem}.{digest[:16]}{path.suffix}"))


def _replaced(path: Path) -> list[Path]:
    """Files written for this name (:func:`_file_name`) more than :data:`GRACE_S` ago."""
    pattern = re.compile(rf"{re.escape(path.stem)}(\.[0-9a-f]{{16}})?{re.escape(path.suffix)}")
    files = [file for file in path.parent.iterdir() if pattern.fullmatch(file.name) and file.is_file()]
    return [file for file in files if time.time() - file.stat().st_mtime > GRACE_S]


def _write(path: Path, content: bytes, new: list[Path]) -> None:
    """Write a file whole or not at all; paths that did not exist before are added to ``new``."""
    if not path.parent.is_dir():
        new.append(path.parent)
        path.parent.mkdir(exist_ok=True)
    if not path.exists():
        new.append(path)
    permissions = path.parent.stat().st_mode & 0o666  # who can read the folder can read the file
    write_bytes(path, content, permissions=permissions)
