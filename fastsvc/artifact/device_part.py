"""What an engine keeps for one device (``sm_90``, ``cpu``): kernels, plans, choices that were measured there.

It is made on first use, by whoever can make it, and kept in the engine's own folder; in the user's cache where that
cannot be written, or lies inside the installed package. The cache knows an engine by its portable content, so copies
of it share their parts, and one that was built anew has none.

Much of it runs as code, so all of it lies under the user's seal (fastsvc/artifact/seal.py): what somebody else has put
there counts as not made.
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
PACKAGE = Path(__file__).resolve().parents[1]  # nothing is written into what was installed


class DevicePart:
    """The files of an engine for the device ``name``; file names are those inside it, such as ``kernels.json``."""

    def __init__(self, folder: Artifact, name: str):
        self.folder, self.name = folder, name
        self.refresh()

    def refresh(self) -> None:
        """See what other processes have added meanwhile."""
        self.engine = self.folder.identity()
        self.cache = cache_folder() / "engines" / self.engine[:32]
        self.cached: dict[str, dict] = self._cached()["files"]
        self.folder.refresh()

    def label(self, name: str) -> seal.Label:
        return seal.Label(self.engine, self.name, name)

    def has(self, name: str) -> bool:
        """Whether there is such a file, under whatever seal."""
        full = f"{self.name}/{name}"
        return full in self.cached or self.folder.has(full)

    def read(self, name: str) -> bytes | None:
        """The verified content of a file under this user's seal, or None if it was not made yet.

        Raises EngineError if it is damaged in the engine's folder; in the cache it is said, and counts as not made. So
        does what is under no seal, or under another's.
        """
        found = (seal.open_sealed(content, self.label(name)) for content in self._contents(f"{self.name}/{name}"))
        return next((content for content in found if content is not None), None)

    def _contents(self, full: str) -> Iterator[bytes]:
        """What the cache, then what the folder has under this name."""
        if full in self.cached:
            try:
                yield listing.verified(self.cache, self.cached, full, f"remove {self.cache}").read_bytes()
            except (EngineError, OSError) as error:
                warnings.warn(f"{error}: it is not used", stacklevel=4)
        if self.folder.has(full):
            yield self._in_folder(full)

    def _in_folder(self, full: str) -> bytes:
        known = self.folder.files[full]
        try:
            return self.folder.bytes(full)
        except EngineError:
            self.folder.refresh()  # others may have replaced it more than once
            if self.folder.files.get(full) == known:
                raise
            return self.folder.bytes(full)

    def add(self, files: dict[str, bytes]) -> Path:
        """Keep these files, in place of older ones of their names; all or none of them. Returns the folder.

        Raises OutputError where neither the engine's folder nor the cache can be written.
        """
        self.check()
        named = {f"{self.name}/{name}": seal.add_seal(content, self.label(name)) for name, content in files.items()}
        if self.storage_folder() == self.folder.path:
            try:
                self.folder.add(named)
                self._forget(named)
                return self.folder.path
            except OutputError:
                pass  # the cache may lie on another disk; the caller says where it was kept
        self._make_cache()
        self.cached = listing.add(self.cache, named, self._cached)["files"]
        return self.cache

    def check(self) -> None:
        """Raises OutputError where nothing could be kept: to be called before minutes of work."""
        if self.storage_folder() == self.cache:
            self._make_cache()

    def _make_cache(self) -> None:
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {self.cache}: {error.strerror}", f"set ${CACHE} to a folder") from None

    def storage_folder(self) -> Path:
        """Where files are kept if nothing is in the way: the engine's folder or the cache."""
        path = self.folder.path
        inside = PACKAGE in path.resolve().parents
        return self.cache if inside or not os.access(path, os.W_OK | os.X_OK) else path

    def _cached(self) -> dict:
        """The cache's list for this engine; an empty one where there is none, or none that can be read."""
        path = self.cache / listing.MANIFEST
        if not path.exists():
            return {"format": CACHE_FORMAT, "engine": self.folder.path.name, "files": {}}
        try:
            found = reading.json_file(path, MANIFEST_LIMIT)
            if found["format"] == CACHE_FORMAT and isinstance(found["files"], dict):
                return found
        except (ConfigError, KeyError, TypeError) as error:
            warnings.warn(f"{path} cannot be read and is not used: {error}", stacklevel=3)
        return {"format": CACHE_FORMAT, "engine": self.folder.path.name, "files": {}}

    def _forget(self, names) -> None:
        """Older ones in the cache, which is looked at first."""
        if not any(name in self.cached for name in names):
            return

        def without() -> dict:
            found = self._cached()
            return {**found, "files": {name: entry for name, entry in found["files"].items() if name not in names}}

        self.cached = listing.add(self.cache, {}, without)["files"]
