"""An engine's files for one device (``sm_90``, ``cpu``): kernels, plans, choices measured there.

They are made on first use and kept in the engine's own folder, or in the user's cache if that folder cannot be written
or lies inside the installed package. The cache knows an engine by its portable content, so copies of an engine share
these files, and a new build starts without them.

Much of this runs as code, so every file is under the user's seal (fastsvc/artifact/seal.py). A file from somebody else
counts as missing.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from fastsvc import reading
from fastsvc.artifact import listing, seal
from fastsvc.artifact.engine_folder import MANIFEST_LIMIT, Artifact
from fastsvc.errors import ConfigError, EngineError, OutputError
from fastsvc.files import CACHE, cache_folder

CACHE_FORMAT = "fastsvc-device-parts"
PACKAGE = Path(__file__).resolve().parents[1]  # an installed package is never written to


class DevicePart:
    """The files of an engine for the device ``name``; file names are relative to it, such as ``kernels.json``."""

    def __init__(self, folder: Artifact, name: str):
        self.folder, self.name = folder, name
        self.refresh()

    def refresh(self) -> None:
        """Read the lists again: other processes may have added files."""
        self.engine = self.folder.identity()
        self.cache = cache_folder() / "engines" / self.engine[:32]
        self.cached: dict[str, dict] = self._cached()["files"]
        self.folder.refresh()

    def label(self, name: str) -> seal.Label:
        return seal.Label(self.engine, self.name, name)

    def has(self, name: str) -> bool:
        """Whether there is such a file, whatever its seal."""
        full = f"{self.name}/{name}"
        return full in self.cached or self.folder.has(full)

    def read(self, name: str) -> bytes | None:
        """The verified content of a file under this user's seal, or None if it is missing.

        Raises EngineError if the file is damaged in the engine's folder. A damaged file in the cache gives a warning
        and counts as missing, as does a file without this user's seal.
        """
        opened = (seal.open_sealed(content, self.label(name)) for content in self._contents(f"{self.name}/{name}"))
        return next((content for content in opened if content is not None), None)

    def _contents(self, full: str) -> Iterator[bytes]:
        """The content under this name in the cache, then in the folder."""
        if full in self.cached:
            try:
                yield listing.verified(self.cache, self.cached, full, f"remove {self.cache}").read_bytes()
            except (EngineError, OSError) as error:
                warnings.warn(f"{error}: it is not used", stacklevel=4)
        if self.folder.has(full):
            yield self._in_folder(full)

    def _in_folder(self, full: str) -> bytes:
        before = self.folder.files[full]
        try:
            return self.folder.bytes(full)
        except EngineError:
            self.folder.refresh()  # other processes may have replaced it more than once
            if self.folder.files.get(full) == before:
                raise
            return self.folder.bytes(full)

    def add(self, files: dict[str, bytes]) -> Path:
        """Keep all these files or none, in place of older ones of the same names. Returns the folder.

        Raises OutputError where neither the engine's folder nor the cache can be written.
        """
        self.check()
        sealed = {f"{self.name}/{name}": seal.add_seal(content, self.label(name)) for name, content in files.items()}
        if self.storage_folder() == self.folder.path:
            try:
                self.folder.add(sealed)
                self._remove_from_cache(sealed)
                return self.folder.path
            except OutputError:
                pass  # the cache may lie on another disk; the caller reports the folder
        self._make_cache()
        self.cached = listing.add(self.cache, sealed, self._cached)["files"]
        return self.cache

    def check(self) -> None:
        """Raises OutputError if no file could be kept; called before minutes of work."""
        if self.storage_folder() == self.cache:
            self._make_cache()

    def _make_cache(self) -> None:
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {self.cache}: {error.strerror}", f"set ${CACHE} to a folder") from None

    def storage_folder(self) -> Path:
        """The folder that files are added to first: the engine's, or the cache."""
        path = self.folder.path
        inside = PACKAGE in path.resolve().parents
        return self.cache if inside or not os.access(path, os.W_OK | os.X_OK) else path

    def _cached(self) -> dict:
        """The cache's list for this engine; an empty list if there is none or it cannot be read."""
        path = self.cache / listing.MANIFEST
        if not path.exists():
            return {"format": CACHE_FORMAT, "engine": self.folder.path.name, "files": {}}
        try:
            manifest = reading.read_json(path, MANIFEST_LIMIT)
            if manifest["format"] == CACHE_FORMAT and isinstance(manifest["files"], dict):
                return manifest
        except (ConfigError, KeyError, TypeError) as error:
            warnings.warn(f"{path} cannot be read and is not used: {error}", stacklevel=3)
        return {"format": CACHE_FORMAT, "engine": self.folder.path.name, "files": {}}

    def _remove_from_cache(self, names) -> None:
        """Remove older files of these names from the cache, which is read first."""
        if not any(name in self.cached for name in names):
            return

        def without() -> dict:
            manifest = self._cached()
            others = {name: entry for name, entry in manifest["files"].items() if name not in names}
            return {**manifest, "files": others}

        self.cached = listing.add(self.cache, {}, without)["files"]
