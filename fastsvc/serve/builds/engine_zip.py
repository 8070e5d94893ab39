"""A zipped engine folder of a stranger: its tensors and manifest alone are unpacked, within limits.

Cubins, TensorRT plans, measurements and graphs are left out, so nothing that runs comes from the archive: a machine
makes them again where it needs them.
"""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

from fastsvc import files, reading
from fastsvc.artifact.engine_folder import CONTENT, INDEX, MANIFEST_LIMIT, VOCODER, WEIGHTS
from fastsvc.artifact.listing import MANIFEST
from fastsvc.artifact.upgrade import FORMAT
from fastsvc.errors import CheckpointError, EngineError
from fastsvc.reading import folder_zip
from fastsvc.reading.folder_zip import DISTRUST, FolderZip

TENSORS = (WEIGHTS, VOCODER, CONTENT, INDEX)
_ENGINE = re.compile(rf"(?:[^/]+/)?{re.escape(MANIFEST)}")  # at the top, or in the one folder there


def is_engine(path: Path) -> bool:
    """Whether the file is a zip with a manifest where an engine has it. Raises CheckpointError."""
    with reading.open_file(path, CheckpointError) as file:
        archive = folder_zip.open_folder(file, path, os.fstat(file.fileno()).st_size)
        return archive is not None and any(map(_ENGINE.fullmatch, archive.entries))


def unpack(path: Path, out: Path, limit: int) -> list[str]:
    """Write the engine in the zip at ``path`` to the new folder ``out``; returns notes on what was left out.

    ``limit``: bytes that it may unpack to. Raises CheckpointError for an archive that was made to harm, EngineError for
    a manifest that lists it wrongly, OutputError, ResourceError. ``out`` is whole or not there.
    """
    with reading.open_file(path, CheckpointError) as file:
        size = os.fstat(file.fileno()).st_size
        archive = folder_zip.open_folder(file, path, size)
        if archive is None:
            raise CheckpointError(f"{path} is a damaged archive, or cut short", "download the file again")
        archive.check(file, size)
        roots = [name for name in archive.entries if _ENGINE.fullmatch(name)]
        if len(roots) != 1:
            raise CheckpointError(f"{path} holds {len(roots)} engines", "zip one folder NAME.fsvc")
        prefix = roots[0].removesuffix(MANIFEST)
        manifest = _manifest(archive, roots[0])
        listed = {name: entry for name, entry in manifest["files"].items() if name in TENSORS}
        _check_sizes(archive, prefix, listed, limit)
        with files.new_folder(out) as folder:
            for name in listed:
                archive.unpack(prefix + name, folder / name, limit)
            plain = {**manifest, "files": {name: _plain(entry) for name, entry in listed.items()}}
            files.write_json(folder / MANIFEST, plain)
        left_out = sorted(set(manifest["files"]) - set(listed))
    return [f"left out, and made again where it is needed: {_some(left_out)}"] if left_out else []


def _manifest(archive: FolderZip, name: str) -> dict:
    """The manifest, read within the limit of an engine's. Its values are checked once the folder is opened."""
    entry = archive.entries[name]
    if entry.file_size > MANIFEST_LIMIT:
        raise EngineError(f"{folder_zip.shown(name)} is larger than {MANIFEST_LIMIT >> 20} MB", DISTRUST)
    try:
        with archive.archive.open(entry) as source:
            manifest = reading.parse_json(source.read(MANIFEST_LIMIT + 1)[:MANIFEST_LIMIT])
    except (ValueError, OSError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise EngineError(f"{folder_zip.shown(name)} cannot be read: {error}", "copy the engine again") from None
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get("format") != FORMAT:
        raise EngineError(f"{folder_zip.shown(name)} is not an engine's", "zip a folder that `fastsvc build` made")
    return manifest


def _check_sizes(archive: FolderZip, prefix: str, listed: dict, limit: int) -> None:
    """Raises EngineError unless each listed file is in the archive in its listed size, all within ``limit`` bytes."""
    total = 0
    for name, entry in listed.items():
        stored = archive.entries.get(prefix + name)
        size = entry.get("bytes") if isinstance(entry, dict) else None
        if stored is None or stored.file_size != size or entry.get("file", name) != name:
            raise EngineError(f"{name} is not in the archive as its manifest lists it", "zip the whole folder again")
        total += stored.file_size
    if total > limit:
        raise CheckpointError(
            f"the engine unpacks to {total >> 20} MB, the most is {limit >> 20} MB",
            "start the server with more --memory",
        )


def _plain(entry: dict) -> dict:
    return {key: entry.get(key) for key in ("bytes", "sha256")}


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(map(folder_zip.shown, names[:4])) + more
